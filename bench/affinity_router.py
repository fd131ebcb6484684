"""
The router without Ray before some engines: `python -m bench.affinity_router CHOICE PROFILE PORT ENGINE_PORT,...`.

CHOICE is `prefix` or `least_busy`, as a model's `replica_choice`, or `round_robin`, which is here only, to compare.
The engines' figures, which Ray would bring, are read from their `/metrics`.
"""

import sys
from collections.abc import Collection, Sequence

import uvloop

from bench.one_model_router import serve_one_model
from bench.scenarios import MODEL
from configs.router import ModelRoute
from router import picking
from router.metrics import NoMetrics
from router.replicas.choice import Beginning, Pick
from router.replicas.registry import Replica


def round_robin(
    replicas: Sequence[Replica],
    beginning: Beginning | None,  # noqa: ARG001  in the place of `choose_replica`
    tried: Collection[str],
    now: float,
    turn: int,
) -> Pick | None:
    left = [one for one in replicas if one.replica_id not in tried and one.blocked_until <= now]
    return Pick(left[turn % len(left)], "least_busy") if left else None


async def serve(choice: str, profile: str, port: int, engine_ports: list[int]) -> None:
    route = {"application": MODEL, "replica_choice": "least_busy" if choice == "round_robin" else choice}
    if choice == "round_robin":
        vars(picking)["choose_replica"] = round_robin  # the one place that calls it
    await serve_one_model(ModelRoute.model_validate(route), NoMetrics(), profile, port, engine_ports)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), [int(port) for port in sys.argv[4].split(",")]))
