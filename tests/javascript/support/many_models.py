"""A router with a model for everything that a client may meet: answers, tools, vectors, faults, a slow beginning."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from calling_engine import CallingEngine, call_of
from door import Door
from scripted_engine import Ending, Script, ScriptedEngine
from simulated_engines import SimulatedEngine
from wire import STREAM_HEAD, TOKENS, WHOLE, chunk, token, whole

from configs.engine import Task
from configs.reliability import ReliabilityPolicy, ResumePolicy
from configs.router import ModelRoute, RequestSettings, RouterUserConfig
from router.models.table import ModelTable
from router.replicas.registry import Replica

KEY = "k1"
BUSY = whole({"error": {"message": "busy"}}, 503)
REQUESTS = RequestSettings(early_headers_s=0.05, replica_wait_s=0.3)
RANKS = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]


class VectorEngine(ScriptedEngine):
    """Knows one vector, and both ways to write it."""

    def next_script(self, path: str) -> Script:  # noqa: ARG002 - the engine's signature
        is_packed = self.requests[-1].document.get("encoding_format") == "base64"
        vector = {"object": "embedding", "index": 0, "embedding": "AAAAPwAAgD4=" if is_packed else [0.5, 0.25]}
        return [
            whole({"object": "list", "model": "m", "data": [vector], "usage": {"prompt_tokens": 1, "total_tokens": 1}})
        ]


class BusyOnceEngine(ScriptedEngine):
    """Refuses every other request, the first one among them."""

    def next_script(self, path: str) -> Script:  # noqa: ARG002 - the engine's signature
        return [BUSY if len(self.requests) % 2 else WHOLE]


class EndlessEngine(ScriptedEngine):
    """Goes on until the router hangs up."""

    def next_script(self, path: str) -> Script:  # noqa: ARG002 - the engine's signature
        return [STREAM_HEAD, *[chunk(token("on "))] * 1_000_000]


def _scripted() -> dict[str, ScriptedEngine]:
    calling = CallingEngine()
    calling.call = call_of("look", {"at": "it"})
    cut, busy, refusing, ranks = (ScriptedEngine() for _ in range(4))
    cut.otherwise = [STREAM_HEAD, chunk(TOKENS), Ending.RESET]
    busy.otherwise = [BUSY]
    refusing.otherwise = [whole({"error": {"message": "bad"}}, 400)]
    ranks.otherwise = [whole({"id": "r", "model": "m", "results": RANKS, "usage": {"total_tokens": 2}})]
    return {
        "tools": calling, "cut": cut, "busy": busy, "busy-once": BusyOnceEngine(), "refusing": refusing,
        "vectors": VectorEngine(), "ranks": ranks, "endless": EndlessEngine(),
    }  # fmt: skip


_TASKS = {"vectors": "embed", "ranks": "rerank"}


@asynccontextmanager
async def many_models() -> AsyncIterator[tuple[Door, dict[str, ScriptedEngine]]]:
    """A model `m`, the same one as `slow`, `hears`, `speaks`, and one for each scripted engine, of the same name."""
    async with AsyncExitStack() as stack:
        door = await Door.open(REQUESTS, keys=[KEY])
        stack.push_async_callback(door.close)
        replicas: dict[str, Replica] = {}
        simulated_models: dict[str, tuple[float, Task]] = {
            "m": (0.0, "generate"), "slow": (400.0, "generate"),
            "hears": (0.0, "transcribe"), "speaks": (0.0, "speak"),
        }  # fmt: skip
        for name, (pause_ms, task) in simulated_models.items():
            simulated = await SimulatedEngine.start(prefill_base_ms=pause_ms, task=task)
            stack.push_async_callback(simulated.stop)
            replicas[name] = simulated.replica(name)
        engines = _scripted()
        for name, engine in engines.items():
            await engine.start()
            stack.push_async_callback(engine.stop)
            # A front's streams are not resumed, so that a broken one is seen to break.
            replicas[name] = engine.replica(name, profile="front", task=_TASKS.get(name, "generate"))  # type: ignore[arg-type]
        reliability = ReliabilityPolicy(resume=ResumePolicy(enabled=False))
        routes = {name: ModelRoute(application=name, reliability=reliability) for name in replicas}
        door.state.take_over_table(ModelTable(RouterUserConfig(models=routes, requests=REQUESTS)))
        for name, replica in replicas.items():
            door.state.take_over_replicas(name, [replica])
        yield door, engines
