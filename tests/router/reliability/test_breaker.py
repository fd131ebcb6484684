"""router.reliability.breaker: when a replica is passed over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.reliability import BreakerPolicy
from router.reliability.breaker import Breaker

POLICY = BreakerPolicy(max_failures=3, first_pause_ms=1000, max_pause_ms=4000)
NOW = 100.0
MEAN = 0.5
"""The chance that leaves a pause as it is."""


def fail(breaker: Breaker, now: float, *, is_lost: bool = True) -> float:
    """Returns for how long it is open then, in seconds."""
    breaker.failed(now, POLICY, MEAN, is_lost=is_lost)
    return breaker.blocked_until - now


def test_one_loss_opens_it() -> None:
    """A replica that cannot be reached has nothing more to prove."""
    assert 1.0 == fail(Breaker(), NOW)


def test_failures_of_an_engine_that_answers_open_it_together() -> None:
    """One may be the request's own fault; as many as the policy says, one after another, are not."""
    breaker = Breaker()
    assert [True, True, False] == [fail(breaker, NOW, is_lost=False) < 0 for _ in range(3)]


def test_a_success_between_them_begins_the_count_anew() -> None:
    """They have to follow each other."""
    breaker = Breaker()
    for _ in range(2):
        fail(breaker, NOW, is_lost=False)
    breaker.succeeded()
    fail(breaker, NOW, is_lost=False)
    assert 0.0 == breaker.blocked_until


def test_losses_at_one_moment_are_one() -> None:
    """A hundred streams that a replica takes with it do not make its pause longer."""
    breaker = Breaker()
    assert [1.0] * 100 == [fail(breaker, NOW) for _ in range(100)]


def test_one_request_probes_it() -> None:
    """After the pause the next request goes there, and the ones after that do not, until it is known how that ended."""
    breaker = Breaker()
    fail(breaker, NOW)
    is_open = [breaker.blocked_until > NOW + 1]
    breaker.asked(NOW + 1, POLICY)
    is_open.append(breaker.blocked_until > NOW + 1)
    breaker.succeeded()
    is_open.append(breaker.blocked_until > NOW + 1)
    assert [False, True, False] == is_open


def test_a_probe_that_fails_opens_it_for_longer() -> None:
    """Twice as long each time, up to the longest pause, whatever the failure is."""
    breaker = Breaker()
    now, pauses = NOW, []
    for is_lost in (True, False, True, False):
        breaker.asked(now, POLICY)
        pauses.append(fail(breaker, now, is_lost=is_lost))
        now = breaker.blocked_until
    assert [1.0, 2.0, 4.0, 4.0] == pauses


def test_a_probe_that_nobody_hears_of_again_is_followed_by_another() -> None:
    """Its client left, say."""
    breaker = Breaker()
    fail(breaker, NOW)
    breaker.asked(NOW + 1, POLICY)
    assert NOW + 5 == breaker.blocked_until


@given(st.lists(st.sampled_from(["asked", "lost", "failed", "ok", "wait"]), max_size=60), st.floats(0, 1))
def test_it_never_stays_open_for_ever(steps: list[str], chance: float) -> None:
    """Whatever happens, it can be asked again within one and a half times the longest pause."""
    breaker, now = Breaker(), NOW
    for step in steps:
        match step:
            case "asked":
                breaker.asked(now, POLICY)
            case "ok":
                breaker.succeeded()
            case "wait":
                now += 1.5
            case _:
                breaker.failed(now, POLICY, chance, is_lost=step == "lost")
        assert breaker.blocked_until <= now + 6.0


@pytest.mark.parametrize(("chance", "expected"), [(0.0, 0.5), (1.0, 1.5)])
def test_its_pauses_vary(chance: float, expected: float) -> None:
    """By a half, so that routers do not come back as one."""
    breaker = Breaker()
    breaker.failed(NOW, POLICY, chance, is_lost=True)
    assert NOW + expected == breaker.blocked_until


def test_a_probe_that_nothing_is_known_of_leaves_it_to_the_next() -> None:
    """Its client left, as editors do with most completions: the replica is not passed over until the longest pause."""
    breaker = Breaker()
    fail(breaker, NOW)
    breaker.asked(NOW + 1, POLICY)
    breaker.left(NOW + 1.2)
    is_open = [breaker.blocked_until > NOW + 1.2]
    breaker.asked(NOW + 1.2, POLICY)
    is_open.append(breaker.blocked_until > NOW + 1.2)
    assert [False, True] == is_open
    assert 2.0 == pytest.approx(fail(breaker, NOW + 1.3))


def test_requests_that_leave_do_not_close_it() -> None:
    """Only its probe does."""
    breaker = Breaker()
    fail(breaker, NOW)
    breaker.left(NOW + 0.5)
    assert NOW + 1 == breaker.blocked_until
