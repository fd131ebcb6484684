"""A router without Ray before some engines of one model: what the benches' own routers have in common."""

import os
from collections.abc import Sequence

from bench.figures import bring_figures
from bench.scenarios import MODEL
from configs.router import ListenerSettings, ModelRoute, RouterUserConfig
from router.app import RouterApp
from router.http.auth import KeyRing
from router.listener import Listener, bind
from router.metrics import MetricSink
from router.models.table import ModelTable
from router.replicas.registry import Replica
from router.state import RouterState


async def serve_one_model(
    route: ModelRoute, sink: MetricSink, profile: str, port: int, engine_ports: Sequence[int]
) -> None:
    """For ever. Keys are those of the bench's environment; the engines' figures are read from their `/metrics`."""
    settings = ListenerSettings(port=port)
    keys = KeyRing([os.environ["ENGINEHOUSE_BENCH_KEY"]])
    state = RouterState(ModelTable(RouterUserConfig(models={MODEL: route})), keys, settings, sink, "bench")
    secret = os.environ["BENCH_ENGINE_KEY"]
    replicas = [
        Replica(f"replica-{number}", MODEL, "127.0.0.1", engine_port, secret, "bench", profile)
        for number, engine_port in enumerate(engine_ports)
    ]
    state.take_over_replicas(MODEL, replicas)
    await Listener(RouterApp(state), bind(settings)).start()
    await bring_figures(state, replicas)
