"""How many replicas a model should have."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve.config import AutoscalingConfig, AutoscalingContext

from deployments.autoscaling import EngineLoadPolicy, replicas_for_ttft, wanted_replicas
from deployments.load import controller_board
from deployments.load.board import Board, BoardReader
from router.load.first_tokens import FirstTokens
from router.load.report import RouterLoad
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


def context_of_one_replica() -> AutoscalingContext:
    """What Serve's controller gives to the policy of the application `small`, whose target is far away."""
    replica: Any = SimpleNamespace(unique_id="r1")
    nothing: Any = None
    return AutoscalingContext(
        nothing, "Engine", "small", 1, 1, [replica], 0.0, 0.0, {}, {}, 1, 4, {}, None, None, 0.0,
        AutoscalingConfig(max_replicas=4, target_ongoing_requests=1000),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "expected", "is_asked"),
    [
        pytest.param({"target_ttft_s": 0.1}, 2.0, True, id="much too slow"),
        pytest.param({"target_ttft_s": 10}, 0.002, True, id="fast enough"),
        pytest.param({}, 0.002, False, id="nobody looks at it"),
    ],
)
def test_a_policy_with_a_target_looks_at_how_streams_began(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], expected: float, *, is_asked: bool
) -> None:
    """It decides by what routers say of its application, and only then do they have to say it."""
    load = RouterLoad({}, {"small": FirstTokens(20, 0.3), "large": FirstTokens(20, 0.001)})
    board, wishes = Board({"r1": busy(2)}, {"router": (1, load)}), []
    reader = BoardReader(lambda _: board, wishes.append)
    monkeypatch.setattr(BoardReader, "_start", lambda _: None)  # only the test reads
    monkeypatch.setattr(controller_board, "BOARD", reader)
    policy = EngineLoadPolicy(**settings)
    assert (1.0, {}) == policy(context_of_one_replica())  # nobody has said anything yet, so nothing changes
    reader.look()
    assert (pytest.approx(expected), {}) == policy(context_of_one_replica())
    assert [{"small"} if is_asked else set()] == wishes
