"""What `bench/soak.py` makes of what it sees."""

import pytest

from bench.soak import Sample, judge


def samples(rss_mib: list[float], ttft_ms: list[float]) -> list[Sample]:
    pairs = zip(rss_mib, ttft_ms, strict=True)
    return [Sample(10.0 * number, int(rss * 2**20), 50, (ttft,)) for number, (rss, ttft) in enumerate(pairs)]


STEADY = [50.0] * 10


def test_what_grows_in_the_warm_up_does_not_count() -> None:
    """The first fifth fills pools and caches."""
    verdict = judge(samples([100, 190, 200, 200, 200, 200, 200, 200, 200, 200], STEADY))
    assert (True, 0.0) == (verdict.is_steady, verdict.growth_ratio)


def test_memory_that_grows_is_a_leak() -> None:
    """By 5 % or more from the first third to the last."""
    verdict = judge(samples([200, 200, 200, 200, 204, 206, 208, 210, 212, 212], STEADY))
    assert (False, pytest.approx(0.06)) == (verdict.is_steady, verdict.growth_ratio)


def test_answers_that_begin_later_and_later_are_a_drift() -> None:
    """By more than a quarter."""
    verdict = judge(samples([200.0] * 10, [50, 50, 50, 50, 55, 60, 62, 66, 70, 74]))
    assert (False, True) == (verdict.is_steady, verdict.has_drifted)


def test_a_few_milliseconds_are_no_drift() -> None:
    """Whatever they are in percent."""
    assert judge(samples([200.0] * 10, [10, 10, 10, 10, 12, 12, 13, 14, 14, 14])).is_steady


def test_too_little_cannot_be_judged() -> None:
    """Two samples have no first and last third."""
    with pytest.raises(ValueError, match="too short"):
        judge(samples([200.0] * 2, [50.0] * 2))
