"""
Enginehouse's router and own listener without Ray: `python -m bench.bare_router PORT ENGINE_PORT,ENGINE_PORT...`.

It keeps no answers, unless BENCH_CACHE has the settings of a cache, as JSON, and no batches, unless BENCH_BATCHES has
theirs. BENCH_TASK and BENCH_PROFILE say what the engines are for and which dialect they speak, if not generation and
vLLM's; BENCH_MERGING has a policy, as JSON. BENCH_MAX_NUM_SEQS says how many requests each engine runs at once.
"""

import os
import sys

import uvloop

from bench.figures import bring_figures
from bench.scenarios import MODEL
from configs.batches import BatchSettings
from configs.cache import CacheSettings
from configs.router import ListenerSettings, MergingPolicy, ModelRoute, RouterUserConfig
from router.app import RouterApp
from router.batches.service import Batches
from router.caching.shared_answers import SharedAnswers
from router.http.auth import KeyRing
from router.listener import Listener, bind
from router.metrics import NoMetrics
from router.models.table import ModelTable
from router.replicas.registry import Replica
from router.state import RouterState


async def serve(port: int, engine_ports: list[int]) -> None:
    settings = ListenerSettings(port=port)
    merging = MergingPolicy.model_validate_json(os.environ.get("BENCH_MERGING", "{}"))
    table = ModelTable(RouterUserConfig(models={MODEL: ModelRoute(application=MODEL, merging=merging)}))
    keys = KeyRing([os.environ["ENGINEHOUSE_BENCH_KEY"]])
    state = RouterState(table, keys, settings, NoMetrics(), "bench", _shared_answers())
    secret = os.environ["BENCH_ENGINE_KEY"]
    replicas = [
        Replica(
            replica_id=str(engine_port),
            model=MODEL,
            host="127.0.0.1",
            port=engine_port,
            secret=secret,
            engine="simulated",
            profile=os.environ.get("BENCH_PROFILE", "vllm"),
            max_num_seqs=int(os.environ.get("BENCH_MAX_NUM_SEQS", "0")) or None,
            task="embed" if os.environ.get("BENCH_TASK") == "embed" else "generate",
        )
        for engine_port in engine_ports
    ]
    state.take_over_replicas(MODEL, replicas)
    written = os.environ.get("BENCH_BATCHES")
    if written is not None:
        state.batches = Batches.open(BatchSettings.model_validate_json(written), os.environ, state)
        assert state.batches is not None  # noqa: S101 - the bench names a store
        state.batches.run_lines()
    await Listener(RouterApp(state), bind(settings)).start()
    await bring_figures(state, replicas)


def _shared_answers() -> SharedAnswers | None:
    written = os.environ.get("BENCH_CACHE")
    if written is None:
        return None
    return SharedAnswers.open(CacheSettings.model_validate_json(written), os.environ)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), [int(port) for port in sys.argv[2].split(",")]))
