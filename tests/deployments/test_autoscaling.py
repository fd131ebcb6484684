"""How many replicas a model should have."""

import pytest

from deployments.autoscaling import wanted_replicas


@pytest.mark.parametrize(
    ("reports", "num_replicas", "target", "expected"),
    [
        ({"a": 5.0}, 1, 2.0, 2.5),
        ({"a": 3.0, "b": 1.0}, 2, 2.0, 2.0),
        ({"a": 0.0, "b": 0.0}, 2, 2.0, 0.0),
        ({"a": 8.0}, 3, 4.0, 2.0),
        ({}, 1, 2.0, None),
        ({"a": 4.0}, 0, 2.0, None),
    ],
)
def test_wanted_replicas(reports: dict[str, float], num_replicas: int, target: float, expected: float | None) -> None:
    """The sum of what was reported over the target; nothing where nobody has reported."""
    assert expected == wanted_replicas(reports, num_replicas, target)
