"""
The number of replicas by what the engines have to do, and by what waits before them.

Serve's own policy counts the requests that travel through Serve, and there are none: routers reach the engines'
servers. So each engine replica publishes its engine's figures each second, each router publishes the requests for which
it has no replica and, where a target is set for that, how long streams took to begin, and this policy adds them up.
Bounds, factors and the delays of going down stay Serve's.
"""

from collections.abc import Sequence
from typing import Any

from ray.serve.config import AutoscalingContext

from configs.scaling import EngineLoadSettings
from deployments.load import controller_board
from router.load.first_tokens import FirstTokens
from router.replicas.registry import Figures

SERVE_UPSCALE_DELAY_S = 30.0
"""What `upscale_delay_s` is where a file does not say it. Source: ray 2.60.0, `serve/config.py`."""


class EngineLoadPolicy:
    """
    As many replicas as give each `target_ongoing_requests`, as many as have room in their KV caches, and as many as it
    takes for streams to begin in time.

    A request that waits at a router because there is no replica counts like one in an engine, so that it wakes a model
    that sleeps. Arguments are those of `EngineLoadSettings`.
    """

    def __init__(self, **settings: object) -> None:
        self._settings = EngineLoadSettings.model_validate(settings)

    def __call__(self, context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
        """
        Returns:
            The number, a fraction that Serve rounds up, and this policy's state, of which there is none.
        """
        config = context.config
        assert config is not None  # noqa: S101 - a policy never runs without
        if config.upscale_delay_s == SERVE_UPSCALE_DELAY_S:
            # The context is this decision's own. Its delays are applied after this call.
            context.config = config.model_copy(update={"upscale_delay_s": self._settings.upscale_delay_s})
        application, target_ttft_s = context.app_name or "", self._settings.target_ttft_s
        # Routers tell this of the applications for which somebody asks it, and of no others.
        began = None if target_ttft_s is None else controller_board.BOARD.first_tokens(application)
        wanted = wanted_replicas(
            controller_board.BOARD.figures_of(application, [one.unique_id for one in context.running_replicas]),
            controller_board.BOARD.num_waiting(application),
            context.current_num_replicas,
            config.get_target_ongoing_requests(),
            self._settings.max_kv_cache_ratio,
        )
        if wanted is None:
            return float(context.target_num_replicas), {}
        by_ttft = replicas_for_ttft(began, target_ttft_s, context.current_num_replicas)
        return max(wanted, by_ttft), {}


by_engine_load = EngineLoadPolicy
"""The name that files give to Serve."""


def wanted_replicas(
    figures: Sequence[Figures], num_waiting: int, num_replicas: int, target: float, max_kv_cache_ratio: float
) -> float | None:
    """
    Args:
        figures: what replicas said of their engines lately.
        num_waiting: requests that wait for a replica outside of the engines.
        num_replicas: replicas that run; those that say nothing are taken to be idle.
        target: requests that a replica should have.
        max_kv_cache_ratio: share of its KV cache that a replica should have in use at the most.

    Returns:
        None when nothing can be said: a replica that has just started, or a silent one, is no reason to change.
    """
    if not num_waiting and (not figures or not num_replicas):
        return None
    by_requests = (num_waiting + sum(one.num_running + one.num_waiting for one in figures)) / target
    by_kv_cache = sum(one.kv_cache_usage_ratio or 0.0 for one in figures) / max_kv_cache_ratio
    return max(by_requests, by_kv_cache)


MIN_STREAMS = 5
"""Streams below which nothing is concluded from their times to the first token."""
MAX_STEP_RATIO = 2.0
"""What one look at these times may make of the replicas: twice as many. A queue's length says that something is
missing, and not how much."""
KEEP_RATIO = 0.5
"""Of the target: from there on the replicas that there are, are needed. Fewer would not take in proportion longer, but
meet a queue."""


def replicas_for_ttft(lately: FirstTokens | None, target_ttft_s: float | None, num_replicas: int) -> float:
    """
    Args:
        lately: how streams began in the last seconds.
        target_ttft_s: in what time nine of ten should; None where nobody has set that.
        num_replicas: replicas that run.

    Returns:
        0 when these times ask for no replica.
    """
    if lately is None or target_ttft_s is None or lately.num_streams < MIN_STREAMS:
        return 0.0
    ratio = lately.ttft_s / target_ttft_s
    if ratio < KEEP_RATIO:
        return 0.0
    return num_replicas * min(MAX_STEP_RATIO, max(1.0, ratio))
