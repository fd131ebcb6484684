"""What a model is for, and what its engine would pass over: refused before an engine is asked."""

from collections.abc import Mapping

from configs.engine import Task
from router.call import ROUTES, Call
from router.errors import ModelDoesNotSupport, UnsupportedParameter
from router.model_table import Model
from router.profiles import PROFILES
from router.replicas import Replica

_DOES: Mapping[Task, str] = {
    "generate": "generates text",
    "embed": "makes embeddings",
    "rerank": "reranks documents",
}


def check_abilities(call: Call, model: Model, replica: Replica) -> None:
    """
    Raises:
        ModelDoesNotSupport: the model is for another kind of request. Engines would answer some of these with
            vectors or texts that mean nothing.
        UnsupportedParameter: the engine would ignore a field that changes the answer.
    """
    if replica.task != call.route.task:
        paths = " or ".join(route.path for route in ROUTES.values() if route.task == replica.task)
        raise ModelDoesNotSupport(
            f"The model {model.name!r} {_DOES[replica.task]}: ask it at {paths}, not at {call.route.path}.",
            param="model",
        )
    for name in PROFILES[replica.profile].ignores:
        if call.body.get(name) is not None:
            raise UnsupportedParameter(f"The engine of the model {model.name!r} cannot change `{name}`.", param=name)
