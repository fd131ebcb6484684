"""
The router without Ray before some engines: `python -m bench.hedging_router POLICY PROFILE PORT ENGINE_PORT,... FILE`.

POLICY is the model's `reliability`, as JSON. Each hedge adds a line to FILE that says how it went, and each retry and
hedge that the budget refused a line `refused`. The engines' figures, which Ray would bring, are read from their
`/metrics`.
"""

import os
import sys
from pathlib import Path
from typing import TextIO

import uvloop

from bench.figures import bring_figures
from bench.scenarios import MODEL
from configs.reliability import ReliabilityPolicy
from configs.router import ListenerSettings, ModelRoute, RouterUserConfig
from router.app import RouterApp
from router.http.auth import KeyRing
from router.listener import Listener, bind
from router.metrics import HEDGES, REFUSED_RETRIES, Metric, NoMetrics
from router.models.table import ModelTable
from router.replicas.registry import Replica
from router.state import RouterState


class HedgeLog(NoMetrics):
    """Keeps what became of hedges, and no other metric."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def record(self, metric: Metric, value: float, labels: dict[str, str]) -> None:  # noqa: ARG002  the sink's
        if metric in (HEDGES, REFUSED_RETRIES):
            print(labels.get("outcome", "refused"), file=self._file, flush=True)


async def serve(policy: ReliabilityPolicy, profile: str, port: int, engine_ports: list[int], file: TextIO) -> None:
    settings = ListenerSettings(port=port)
    table = ModelTable(RouterUserConfig(models={MODEL: ModelRoute(application=MODEL, reliability=policy)}))
    keys = KeyRing([os.environ["ENGINEHOUSE_BENCH_KEY"]])
    state = RouterState(table, keys, settings, HedgeLog(file), "bench")
    secret = os.environ["BENCH_ENGINE_KEY"]
    replicas = [
        Replica(f"replica-{number}", MODEL, "127.0.0.1", engine_port, secret, "bench", profile)
        for number, engine_port in enumerate(engine_ports)
    ]
    state.take_over_replicas(MODEL, replicas)
    await Listener(RouterApp(state), bind(settings)).start()
    await bring_figures(state, replicas)


def main() -> None:
    policy, profile, port, engine_ports, file = sys.argv[1:]
    with Path(file).open("a", encoding="utf-8") as log:
        ports = [int(one) for one in engine_ports.split(",")]
        uvloop.run(serve(ReliabilityPolicy.model_validate_json(policy), profile, int(port), ports, log))


if __name__ == "__main__":
    main()
