"""router.reliability.suspicion: whether an engine that did not begin is thought to stand still."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.reliability.suspicion import FIRST_PAUSE_S, MAX_PAUSE_S, Suspicion, is_clear_loss

NOW = 100.0
EVENTS = st.lists(
    st.tuples(st.sampled_from(["suspect", "asked", "heard", "answered", "answered again"]), st.floats(0.0, 40.0))
)


def play(suspicion: Suspicion, event: str, now: float) -> None:
    if event == "suspect":
        suspicion.suspect(now)
    elif event == "asked":
        suspicion.asked(now)
    elif event == "heard":
        suspicion.heard(now)
    else:
        suspicion.answered(was_silent=event == "answered again")


def tried_in_vain(suspicion: Suspicion, now: float) -> float:
    """A request tries it once it may, and is lost. Returns for how long it is passed over then, in seconds."""
    now = max(now, suspicion.until)
    suspicion.asked(now)
    suspicion.suspect(now + 0.1)
    return suspicion.until - now - 0.1


@given(EVENTS)
def test_no_pause_is_longer_than_the_longest(events: list[tuple[str, float]]) -> None:
    """Whatever happens to it, and in whatever order: it is tried again in the end."""
    suspicion, now = Suspicion(), NOW
    for event, after_s in events:
        now += after_s
        play(suspicion, event, now)
        assert suspicion.until - now <= MAX_PAUSE_S


@given(EVENTS)
def test_a_word_of_an_answer_ends_all_suspicion(events: list[tuple[str, float]]) -> None:
    """It is asked at once, and what comes later begins with the shortest pause."""
    suspicion, now = Suspicion(), NOW
    for event, after_s in events:
        now += after_s
        play(suspicion, event, now)
    suspicion.heard(now + 1)
    assert suspicion.until <= now + 1
    suspicion.suspect(now + 2)
    assert now + 2 + FIRST_PAUSE_S == suspicion.until


@given(EVENTS)
def test_without_a_reason_it_is_no_suspect(events: list[tuple[str, float]]) -> None:
    """Requests and figures alone say nothing against it."""
    suspicion, now = Suspicion(), NOW
    for event, after_s in events:
        now += after_s
        if event != "suspect":
            play(suspicion, event, now)
        assert suspicion.until <= now


def test_each_pause_is_twice_as_long() -> None:
    """Up to the longest."""
    suspicion = Suspicion()
    suspicion.suspect(NOW)
    pauses = [suspicion.until - NOW, *(tried_in_vain(suspicion, NOW) for _ in range(6))]
    assert pytest.approx([1, 2, 4, 8, 16, 30, 30]) == pauses


def test_losses_at_one_moment_are_one() -> None:
    """A hundred hedges that it loses together do not make its pause longer, and are told of once."""
    suspicion = Suspicion()
    told = [suspicion.suspect(NOW) for _ in range(100)]
    assert ([True] + [False] * 99, NOW + FIRST_PAUSE_S) == (told, suspicion.until)


def test_one_request_tries_it() -> None:
    """Those that come after it go elsewhere, until it is known how that ended."""
    suspicion = Suspicion()
    suspicion.suspect(NOW)
    is_suspect = [suspicion.until > NOW + 1]
    suspicion.asked(NOW + 1)
    is_suspect.append(suspicion.until > NOW + 1)
    suspicion.heard(NOW + 1.1)
    is_suspect.append(suspicion.until > NOW + 1.1)
    assert [False, True, False] == is_suspect


def test_what_it_said_before_is_no_sign_of_life() -> None:
    """A stream's last token may be noticed after its engine has stopped."""
    suspicion = Suspicion()
    suspicion.suspect(NOW)
    suspicion.heard(NOW - 0.4)
    assert suspicion.until > NOW


def test_figures_are_believed_the_second_time() -> None:
    """Those that come first may have been taken before it stood still."""
    suspicion, is_suspect = Suspicion(), []
    suspicion.suspect(NOW)
    for _ in range(2):
        suspicion.answered(was_silent=False)
        is_suspect.append(suspicion.until > NOW)
    assert [True, False] == is_suspect


def test_figures_are_not_believed_once_they_were_wrong() -> None:
    """A server that answers for an engine which begins nothing: only the engine's own word counts then."""
    suspicion = Suspicion()
    suspicion.suspect(NOW)
    for _ in range(2):
        suspicion.answered(was_silent=False)
    suspicion.suspect(NOW + 2)
    for _ in range(10):
        suspicion.answered(was_silent=False)
    assert NOW + 2 + 2 * FIRST_PAUSE_S == suspicion.until


def test_figures_after_a_silence_are_believed() -> None:
    """The server stood still, too, so it is all of the replica that is back."""
    suspicion = Suspicion()
    suspicion.suspect(NOW)
    tried_in_vain(suspicion, NOW)
    suspicion.answered(was_silent=True)
    assert suspicion.until <= NOW


@pytest.mark.parametrize(
    ("waited_s", "winner_took_s", "expected"),
    [(0.11, 0.01, True), (0.10, 0.01, False), (2.0, 1.0, True), (1.9, 1.0, False), (0.01, 0.3, False)],
)
def test_a_close_race_is_chance(waited_s: float, winner_took_s: float, *, expected: bool) -> None:
    """As it is for who was asked last: twice the winner's time, and a tenth of a second more than it, is none."""
    assert expected == is_clear_loss(waited_s, winner_took_s)
