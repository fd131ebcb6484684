"""router.canary.tally: counts that can be added up."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.canary.tally import WINDOW_S, Course, Durations, Sides, Tallies, Tally, add_sides, sides_document, sides_of


def tally(**counts: int) -> Tally:
    found = Tally()
    found.counts.update({name.replace("__", ":"): number for name, number in counts.items()})
    return found


@given(st.lists(st.floats(0.001, 500), min_size=1), st.sampled_from([0.1, 0.5, 0.95]))
def test_a_quantile_is_right_to_within_its_class(durations: list[float], ratio: float) -> None:
    """Half a class up or down, of a value of that rank."""
    histogram = Durations()
    for duration in durations:
        histogram.add(duration)
    number = next(n for n in range(1, len(durations) + 1) if n >= ratio * len(durations) - 1e-9)
    assert pytest.approx(sorted(durations)[number - 1], rel=0.08) == histogram.quantile(ratio)


def test_of_nothing_there_is_no_quantile() -> None:
    """Which is not the same as 0."""
    assert Durations().quantile(0.5) is None


def test_what_nobody_knows_is_not_counted_as_answered() -> None:
    """Who left, or made a mistake, says nothing of the backend."""
    found = tally(ok=6, failed__engine_failed=1, failed__engine_timeout=1, left=5, refused=9)
    assert (8, 2, 0.25) == (found.num_answered, found.num_failed, found.error_ratio)


def test_recent_is_what_was_counted_in_the_window() -> None:
    """All is in the total; what is older than the window is only there."""
    tallies = Tallies({"t"})
    tallies.count("t", "canary", 0.0, "ok")
    tallies.count("t", "canary", WINDOW_S - 1, "ok")
    course = tallies.courses(WINDOW_S + 1)["t"]["canary"]
    assert (2, 1) == (course.total.num_ok, course.recent.num_ok)


def test_a_quiet_side_is_no_longer_recent() -> None:
    """Also when nothing was counted since."""
    tallies = Tallies({"t"})
    tallies.count("t", "canary", 0.0, "ok")
    assert 0 == tallies.courses(3 * WINDOW_S)["t"]["canary"].recent.num_answered


def test_what_is_over_is_forgotten() -> None:
    """So that a router does not count for ever."""
    tallies = Tallies({"old", "new"})
    tallies.count("old", "canary", 0.0, "ok")
    tallies.count("new", "canary", 0.0, "ok")
    tallies.keep_only({"new"})
    tallies.count("old", "canary", 0.0, "ok")  # by a request that ends after it
    assert {"new"} == tallies.courses(0.0).keys()


def test_routers_are_added_up() -> None:
    """After a way through JSON, counts and durations alike."""
    one = tally(ok=3, failed__engine_failed=1)
    one.ttft_s.add(0.2)
    sides: Sides = {"canary": Course(one, one)}
    summed: Sides = {}
    for _ in range(2):
        add_sides(summed, sides_of(json.loads(json.dumps(sides_document(sides)))))
    found = summed["canary"].total
    assert (6, 2, 2) == (found.num_ok, found.num_failed, found.ttft_s.num)
    assert one.ttft_s.quantile(0.5) == found.ttft_s.quantile(0.5)
