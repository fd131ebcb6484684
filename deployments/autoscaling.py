"""
The number of replicas by what the engines themselves have to do.

Serve's own policy counts the requests that travel through Serve, and there are none: routers reach the engines'
servers. So each replica reports its engine's running and waiting requests, and this policy adds them up. Delays,
factors and bounds stay Serve's.
"""

from collections.abc import Mapping
from typing import Any

from ray.serve.config import AutoscalingContext

ONGOING = "ongoing"
"""The name of a replica's report: requests that run and wait in its engine."""


def by_engine_load(context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
    """
    As many replicas as give each `target_ongoing_requests`.

    Returns:
        The number, a fraction that Serve rounds up, and this policy's state, of which there is none.
    """
    reports = (context.aggregated_metrics or {}).get(ONGOING, {})
    target = context.config.get_target_ongoing_requests()  # type: ignore[union-attr]  # a policy never runs without
    wanted = wanted_replicas(reports, context.current_num_replicas, target)
    return (float(context.target_num_replicas) if wanted is None else wanted), {}


def wanted_replicas(reports: Mapping[Any, float], num_replicas: int, target: float) -> float | None:
    """
    Args:
        reports: ongoing requests of each replica that has reported.
        num_replicas: replicas that run; those without a report are taken to be idle.
        target: ongoing requests that a replica should have.

    Returns:
        None when nothing can be said: a replica that has just started, or a silent one, is no reason to change.
    """
    if not reports or num_replicas == 0:
        return None
    return sum(reports.values()) / target
