"""How many replicas a model should have."""

import pytest

from deployments.autoscaling import replicas_for_ttft, wanted_replicas
from router.load.first_tokens import FirstTokens
from router.replicas.registry import Figures


def busy(num_running: int, num_waiting: int = 0, kv_cache_usage_ratio: float | None = None) -> Figures:
    return Figures(1, num_running, num_waiting, kv_cache_usage_ratio)


@pytest.mark.parametrize(
    ("figures", "num_waiting", "num_replicas", "expected"),
    [
        pytest.param([busy(5)], 0, 1, 2.5, id="running"),
        pytest.param([busy(2, 3)], 0, 1, 2.5, id="running and waiting in the engine"),
        pytest.param([busy(3), busy(1)], 0, 2, 2.0, id="several replicas"),
        pytest.param([busy(0), busy(0)], 0, 2, 0.0, id="nothing to do"),
        pytest.param([busy(4)], 0, 3, 2.0, id="replicas that say nothing are idle"),
        pytest.param([busy(1, 0, 0.95), busy(1, 0, 0.95)], 0, 2, 1.9 / 0.8, id="full KV caches"),
        pytest.param([busy(8, 0, 0.1)], 0, 1, 4.0, id="more requests than KV caches fill"),
        pytest.param([], 0, 1, None, id="nobody says anything"),
        pytest.param([], 0, 0, None, id="asleep, and nobody asks"),
        pytest.param([], 1, 0, 0.5, id="asleep, and one waits"),
        pytest.param([], 9, 0, 4.5, id="asleep, and many wait"),
        pytest.param([busy(4)], 2, 1, 3.0, id="some wait before the engines"),
    ],
)
def test_wanted_replicas(figures: list[Figures], num_waiting: int, num_replicas: int, expected: float | None) -> None:
    """For two requests each, and for KV caches that are used to 0.8; None where nothing is known."""
    assert expected == pytest.approx(wanted_replicas(figures, num_waiting, num_replicas, 2.0, 0.8))


@pytest.mark.parametrize(
    ("lately", "target_s", "expected"),
    [
        pytest.param(FirstTokens(20, 3.0), 2.0, 6.0, id="too slow"),
        pytest.param(FirstTokens(20, 60.0), 2.0, 8.0, id="no more than twice as many at a time"),
        pytest.param(FirstTokens(20, 1.9), 2.0, 4.0, id="fast enough, with these"),
        pytest.param(FirstTokens(20, 0.5), 2.0, 0.0, id="fast enough, with fewer, too"),
        pytest.param(FirstTokens(4, 60.0), 2.0, 0.0, id="too few streams"),
        pytest.param(None, 2.0, 0.0, id="no streams"),
        pytest.param(FirstTokens(20, 60.0), None, 0.0, id="nobody looks at it"),
    ],
)
def test_replicas_for_ttft(lately: FirstTokens | None, target_s: float | None, expected: float) -> None:
    """Where there are four."""
    assert expected == pytest.approx(replicas_for_ttft(lately, target_s, 4))
