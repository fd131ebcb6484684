"""
The router without Ray before some engines: `python -m bench.affinity_router CHOICE PROFILE PORT ENGINE_PORT,...`.

CHOICE is `prefix` or `least_busy`, as a model's `replica_choice`, or `round_robin`, which is here only, to compare.
The engines' figures, which Ray would bring, are read from their `/metrics`.
"""

import os
import sys
from collections.abc import Collection, Sequence

import uvloop

from bench.figures import bring_figures
from bench.scenarios import MODEL
from configs.router import ListenerSettings, ModelRoute, RouterUserConfig
from router import picking
from router.app import RouterApp
from router.http.auth import KeyRing
from router.listener import Listener, bind
from router.metrics import NoMetrics
from router.models.table import ModelTable
from router.replicas.choice import Beginning, Pick
from router.replicas.registry import Replica
from router.state import RouterState


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
    settings = ListenerSettings(port=port)
    route = {"application": MODEL, "replica_choice": "least_busy" if choice == "round_robin" else choice}
    table = ModelTable(RouterUserConfig(models={MODEL: ModelRoute.model_validate(route)}))
    if choice == "round_robin":
        vars(picking)["choose_replica"] = round_robin  # the one place that calls it
    keys = KeyRing([os.environ["ENGINEHOUSE_BENCH_KEY"]])
    state = RouterState(table, keys, settings, NoMetrics(), "bench")
    secret = os.environ["BENCH_ENGINE_KEY"]
    replicas = [
        Replica(f"replica-{number}", MODEL, "127.0.0.1", engine_port, secret, "bench", profile)
        for number, engine_port in enumerate(engine_ports)
    ]
    state.take_over_replicas(MODEL, replicas)
    await Listener(RouterApp(state), bind(settings)).start()
    await bring_figures(state, replicas)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), [int(port) for port in sys.argv[4].split(",")]))
