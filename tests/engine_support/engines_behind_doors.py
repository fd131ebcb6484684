"""An engine as its replica runs it, with its front, for a router that is not on Ray."""

import contextlib
from collections.abc import AsyncIterator, Mapping

from named_engines import engine_args

from configs.engine import EngineSettings, LlamaCppSettings, SimulatedSettings, TensorRtLlmSettings
from deployments.engines import create_engine
from deployments.engines.runtime import EngineRuntime
from deployments.engines.simulated import tokens as simulated_tokens
from router.replicas.registry import Replica

_SETTINGS: Mapping[str, type[EngineSettings]] = {
    "llama_cpp": LlamaCppSettings,
    "tensorrt_llm": TensorRtLlmSettings,
    "simulated": SimulatedSettings,
}


ANSWER = "It is plum."
"""What the stand-in says where it is asked for `ANSWER:It is plum.`"""


_MIN_SIMULATED_WORDS = 20
"""Of the 64 of a chat's answer."""
_SIMULATED_WORDS = set(simulated_tokens._PIECES.split())


def said_by(replica: Replica, *texts: str) -> bool:
    """Whether what a client shows has the engine's answer: the stand-in's, or words of the simulated engine's."""
    text = " ".join(texts)
    if replica.engine == "tensorrt_llm":
        return ANSWER in text
    return len([word for word in text.split() if word in _SIMULATED_WORDS]) >= _MIN_SIMULATED_WORDS


@contextlib.asynccontextmanager
async def running_replica(engine: str, max_model_len: int) -> AsyncIterator[Replica]:
    """A replica of the model `m`, on one of `NAMED_ENGINES`."""
    with engine_args(engine) as args:
        given = {"model": "m", "max_model_len": max_model_len, "max_num_seqs": 4, **args}
        settings = _SETTINGS[engine].model_validate(given)
        async with EngineRuntime(
            create_engine(settings), settings, "127.0.0.1", lambda *_: None, lambda _: None
        ) as runtime:
            address = runtime.address
            yield Replica(
                "r1", "m", address.host, address.port, address.secret, engine, runtime.engine.profile,
                max_model_len=max_model_len, statement=runtime.statement,
            )  # fmt: skip
