"""
The router without Ray before some engines: `python -m bench.hedging_router POLICY PROFILE PORT ENGINE_PORT,... FILE`.

POLICY is the model's `reliability`, as JSON. Each hedge adds a line to FILE that says how it went, and each retry and
hedge that the budget refused a line `refused`. The engines' figures, which Ray would bring, are read from their
`/metrics`.
"""

import sys
from pathlib import Path
from typing import TextIO

import uvloop

from bench.one_model_router import serve_one_model
from bench.scenarios import MODEL
from configs.reliability import ReliabilityPolicy
from configs.router import ModelRoute
from router.metrics import HEDGES, REFUSED_RETRIES, Metric, NoMetrics


class HedgeLog(NoMetrics):
    """Keeps what became of hedges, and no other metric."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def record(self, metric: Metric, value: float, labels: dict[str, str]) -> None:  # noqa: ARG002  the sink's
        if metric in (HEDGES, REFUSED_RETRIES):
            print(labels.get("outcome", "refused"), file=self._file, flush=True)


def main() -> None:
    policy, profile, port, engine_ports, file = sys.argv[1:]
    with Path(file).open("a", encoding="utf-8") as log:
        ports = [int(one) for one in engine_ports.split(",")]
        route = ModelRoute(application=MODEL, reliability=ReliabilityPolicy.model_validate_json(policy))
        uvloop.run(serve_one_model(route, HedgeLog(log), profile, int(port), ports))


if __name__ == "__main__":
    main()
