"""What a model is for and can do, and what its engine would pass over: settled before an engine is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from configs.engine import Task
from router.call import AUDIO_ROUTES, ROUTES, Call
from router.errors import InvalidRequest, ModelDoesNotSupport, ServingError, UnsupportedParameter
from router.fitting.profiles import PROFILES
from router.http.bodies import encode_object
from router.models.capabilities import ability_of, can_be_forced
from router.models.table import Model
from router.replicas.registry import Replica
from router.replicas.statement import Ability
from router.routing.facts import parts_of

_DOES: Mapping[Task, str] = {
    "generate": "generates text",
    "embed": "makes embeddings",
    "rerank": "reranks documents",
    "transcribe": "writes down what is said in a recording",
    "speak": "says a text",
}


def check_abilities(call: Call, model: Model, replica: Replica) -> None:
    """
    Raises:
        ModelDoesNotSupport: the model is for another kind of request, or cannot do what this one demands. Engines
            would answer some of these with vectors or texts that mean nothing.
        UnsupportedParameter: the engine would ignore a field that changes the answer.
    """
    if replica.task != call.route.task and not _does_besides(call, model, replica):
        routes = (*ROUTES.values(), *AUDIO_ROUTES.values())
        paths = " or ".join(route.path for route in routes if route.task == replica.task)
        raise ModelDoesNotSupport(
            f"The model {model.name!r} {_DOES[replica.task]}: ask it at {paths}, not at {call.route.path}.",
            param="model",
        )
    if call.route.is_chat:
        _check_tools(call, model, replica)
        _check_parts(call, model, replica)
    _check_format(call, model, replica)
    for name in PROFILES[replica.profile].ignores:
        if _changes_answer(name, call.body):
            raise UnsupportedParameter(f"The engine of the model {model.name!r} does not know `{name}`.", param=name)


def _changes_answer(name: str, body: Mapping[str, object]) -> bool:
    """Whether an answer without that field is another one. Of as many as are wanted, all are the best."""
    value = body.get(name)
    if name == "best_of":
        wanted = body.get("n") or 1
        return isinstance(value, int) and isinstance(wanted, int) and value > wanted
    return value not in (None, False)


def can_take(call: Call, model: Model, replica: Replica) -> bool:
    """Whether `check_abilities` has nothing against it."""
    try:
        check_abilities(call, model, replica)
    except ServingError:
        return False
    return True


def _does_besides(call: Call, model: Model, replica: Replica) -> bool:
    """Whether a model that generates may be asked for something else: its engine answers where nobody says."""
    ability = call.route.ability
    return ability is not None and replica.task == "generate" and ability_of(model, replica, ability) is not False


def fit_abilities(call: Call, model: Model, replica: Replica) -> Call:
    """
    The call as this replica's engine can take it, its tools left out where the model cannot call any.

    A client that allows a call has to do with an answer in words, so one is given. Engines do the same or refuse, each
    in its way: llama.cpp passes over tools without a word, vLLM answers 400.
    """
    if not call.route.is_chat or not call.body.get("tools"):
        return call
    choice = call.body.get("tool_choice")
    if not _is_forced(choice) and ability_of(model, replica, "tools") is False:
        return _with_body(call, {name: value for name, value in call.body.items() if name not in _TOOL_FIELDS})
    if isinstance(choice, dict) and not PROFILES[replica.profile].names_tools:
        named = _named_tools(call)
        if named is not None:
            return _with_body(call, {**call.body, "tools": named, "tool_choice": "required"})
    return call


def fit_logprobs(call: Call) -> Call:
    """A text completion with 0 of them, which are those of its own tokens, asks for 1 where an engine gives none."""
    if call.route.is_chat or call.body.get("logprobs") != 0:
        return call
    return _with_body(call, {**call.body, "logprobs": 1})


def ignored_fields(call: Call, model: Model, replicas: Sequence[Replica]) -> tuple[str, ...]:
    """The fields that `fit_abilities` leaves out at each of the replicas."""
    if not replicas or not call.route.is_chat or not call.body.get("tools") or _is_forced(call.body.get("tool_choice")):
        return ()
    denied = all(ability_of(model, replica, "tools") is False for replica in replicas)
    return ("tools",) if denied else ()


_TOOL_FIELDS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})


def _is_forced(choice: object) -> bool:
    """A choice of `allowed_tools` says itself whether one of them must be called."""
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools")
        return isinstance(allowed, dict) and allowed.get("mode") == "required"
    return choice == "required" or isinstance(choice, dict)


def _with_body(call: Call, body: dict[str, object]) -> Call:
    return replace(call, body=body, raw=encode_object(body))


def _check_tools(call: Call, model: Model, replica: Replica) -> None:
    if not call.body.get("tools") or not _is_forced(call.body.get("tool_choice")):
        return
    if can_be_forced(model, replica) is False:
        calls_by_itself = ability_of(model, replica, "tools") is True
        can = "only calls tools when it wants to" if calls_by_itself else "calls no tools"
        raise ModelDoesNotSupport(
            f"The model {model.name!r} {can}, and `tool_choice` demands a call.", param="tool_choice"
        )
    if isinstance(call.body["tool_choice"], dict) and _named_tools(call) == []:
        raise InvalidRequest("`tool_choice` names a function that is not in `tools`.", param="tool_choice")


def _named_tools(call: Call) -> list[object] | None:
    """The tools of the name that `tool_choice` has; None where that is of another kind than a function."""
    choice, tools = call.body.get("tool_choice"), call.body.get("tools")
    function = choice.get("function") if isinstance(choice, dict) else None
    if not isinstance(function, dict) or not isinstance(tools, list):
        return None
    return [tool for tool in tools if _function_name(tool) == function.get("name")]


def _function_name(tool: object) -> object:
    function = tool.get("function") if isinstance(tool, dict) else None
    return function.get("name") if isinstance(function, dict) else None


_PARTS: tuple[tuple[bytes, Ability, str], ...] = (
    (b"image_url", "vision", "sees no images"),
    (b"input_audio", "audio", "hears no sound"),
)
"""Parts of a message that are no text, what a model needs for them, and what one does that lacks it."""


def _check_parts(call: Call, model: Model, replica: Replica) -> None:
    for kind, ability, lacks in _PARTS:
        if (
            kind in call.raw
            and ability_of(model, replica, ability) is False
            and any(part.get("type") == kind.decode() for part in parts_of(call.body))
        ):
            raise ModelDoesNotSupport(
                f"The model {model.name!r} {lacks}. Those that do have `{ability}` among their `capabilities` at "
                "/v1/models.",
                param="messages",
            )


def _check_format(call: Call, model: Model, replica: Replica) -> None:
    """An answer in words would break the program that asked for JSON; so a text would not be what was asked for."""
    wanted = call.body.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if not isinstance(kind, str):
        return
    known = PROFILES[replica.profile].formats
    if known is not None and kind not in known:
        raise InvalidRequest(
            f"`response_format.type` must be one that the engine of the model {model.name!r} knows: "
            f"{', '.join(sorted(known))}.",
            param="response_format.type",
        )
    if kind != "text" and ability_of(model, replica, "structured_output") is False:
        raise ModelDoesNotSupport(
            f"The engine of the model {model.name!r} cannot hold an answer to JSON or to a schema. Models that can "
            "be held to it have `structured_output` among their `capabilities` at /v1/models.",
            param="response_format",
        )
