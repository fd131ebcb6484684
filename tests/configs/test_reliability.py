"""configs.reliability: what a model table may say of failures."""

import pytest
from pydantic import ValidationError

from configs.reliability import ReliabilityPolicy


@pytest.mark.parametrize(
    ("settings", "place", "words"),
    [
        ({"deadlines": {"total_s": 5, "queue_s": 6}}, "deadlines.queue_s", "must be at most total_s (5)"),
        ({"deadlines": {"first_token_s": 0}}, "deadlines.first_token_s", "greater than 0"),
        ({"retries": {"first_pause_ms": 9, "max_pause_ms": 8}}, "retries.max_pause_ms", "at least first_pause_ms (9)"),
        ({"retries": {"max_ratio": 1.5}}, "retries.max_ratio", "less than or equal to 1"),
        ({"circuit_breaker": {"first_pause_ms": 20_000}}, "circuit_breaker.max_pause_ms", "first_pause_ms (20000)"),
        ({"circuit_breaker": {"max_failures": 0}}, "circuit_breaker.max_failures", "greater than or equal to 1"),
        ({"hedging": {"delay_ms": 0}}, "hedging.delay_ms", "greater than or equal to 1"),
        ({"resume": {"max_resume": 1}}, "resume.max_resume", "not permitted"),
    ],
)
def test_what_cannot_be_meant_is_refused(settings: dict[str, object], place: str, words: str) -> None:
    """And the error names the field."""
    with pytest.raises(ValidationError) as refused:
        ReliabilityPolicy.model_validate(settings)
    [error] = refused.value.errors()
    found = ".".join(map(str, error["loc"] + tuple(error.get("ctx", {}).get("path", ()))))
    assert (place, True) == (found, words in error["msg"])


def test_everything_has_a_default() -> None:
    """Hedging is off, resuming on."""
    policy = ReliabilityPolicy()
    assert (False, True, None) == (policy.hedging.enabled, policy.resume.enabled, policy.deadlines.total_s)
