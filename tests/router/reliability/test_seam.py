"""router.reliability.seam: stop sequences across the place where a stream was broken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.reliability.seam import Seam, stops_of


@pytest.mark.parametrize(
    ("before", "stops", "pieces", "expected"),
    [
        ("abc", ["xyz"], ["xyz"], ["xyz"]),  # wholly behind it: the engine's affair
        ("abx", ["xyz"], ["y", "z"], ["", None]),
        ("abx", ["xyz"], ["y", "a"], ["", "ya"]),
        ("abx", ["xyz"], ["yzab"], [None]),
        ("aab", ["aabaac"], ["aac"], [None]),
        ("x", ["xx", "xyz"], ["y", "x"], ["", "yx"]),
        ("", ["xyz"], ["xyz"], ["xyz"]),
        ("x", [], ["yz"], ["yz"]),
    ],
)
def test_what_is_passed_on(before: str, stops: list[str], pieces: list[str], expected: list[str | None]) -> None:
    """Nothing that may be a part of a stop sequence, and everything once it is none."""
    seam = Seam(before, stops)
    assert expected == [seam.pass_on(piece) for piece in pieces]


def test_a_stop_sequence_that_belongs_to_the_answer_is_passed_on() -> None:
    """Its second half, however it comes: the client has the first."""
    kept, dropped = (Seam("abx", ["xyz"], keeps_stop=keeps) for keeps in (True, False))
    assert ["", None] == [kept.pass_on(piece) for piece in ("y", "zab")]
    assert None is dropped.pass_on("yzab")
    assert ("yz", "") == (kept.last, dropped.last)


def test_what_was_held_back_comes_with_the_end() -> None:
    """The answer ended before the sequence did."""
    seam = Seam("abx", ["xyz"])
    assert ("", "y") == (seam.pass_on("y"), seam.rest())


@given(st.text("ab", max_size=8), st.lists(st.text("ab", min_size=1, max_size=4)), st.lists(st.text("ab", max_size=3)))
def test_no_text_is_lost_or_said_twice(before: str, stops: list[str], pieces: list[str]) -> None:
    """What is passed on and held back is what came, unless it was ended by a sequence across the seam."""
    seam = Seam(before, stops)
    passed = [seam.pass_on(piece) for piece in pieces]
    behind = "".join(pieces)
    is_ended = any(
        before.endswith(stop[:length]) and behind.startswith(stop[length:])
        for stop in stops
        for length in range(1, len(stop))
    )
    assert is_ended == (None in passed)
    if not is_ended:
        assert behind == "".join(map(str, passed)) + seam.rest()


@pytest.mark.parametrize(("stop", "expected"), [(None, ()), ("a", ("a",)), (["a", "b", ""], ("a", "b"))])
def test_stops_are_read(stop: object, expected: tuple[str, ...]) -> None:
    """As OpenAI has them: one, several or none."""
    assert expected == stops_of(stop)
