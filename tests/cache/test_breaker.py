import asyncio
import re

import pytest
from cached import eventually

from cache.breaker import Breaker
from cache.store import CacheError
from configs.cache import BreakerSettings

SETTINGS = BreakerSettings(max_failures=3, first_retry_ms=10, max_retry_ms=40)


class Patient:
    """A store that is away until it has been probed `away_for` times."""

    def __init__(self, away_for: int) -> None:
        self.away_for = away_for
        self.probed_at_s: list[float] = []

    async def probe(self) -> None:
        self.probed_at_s.append(asyncio.get_running_loop().time())
        if len(self.probed_at_s) <= self.away_for:
            raise CacheError("still away")


async def test_it_opens_after_failures_in_a_row() -> None:
    """Not before the last of them."""
    breaker = Breaker(SETTINGS, "it", 0, Patient(10**6).probe)
    states = []
    for _ in range(3):
        breaker.failed("no")
        states.append(breaker.is_open)
    await breaker.close()
    assert [False, False, True] == states


async def test_a_success_in_between_starts_the_count_anew() -> None:
    """A store that answers now and then is not away."""
    breaker = Breaker(SETTINGS, "it", 0, Patient(0).probe)
    for _ in range(10):
        breaker.failed("no")
        breaker.failed("no")
        breaker.succeeded()
    assert not breaker.is_open


async def test_failures_at_one_moment_are_one() -> None:
    """However many waited for the same answer."""
    breaker = Breaker(SETTINGS, "it", 60, Patient(0).probe)
    for _ in range(100):
        breaker.failed("no")
    assert not breaker.is_open


async def test_it_closes_at_the_first_probe_that_succeeds(caplog: pytest.LogCaptureFixture) -> None:
    """After those that failed, with pauses between them, and with two lines in the log."""
    patient = Patient(away_for=6)
    breaker = Breaker(SETTINGS, "The store", 0, patient.probe)
    for _ in range(5):
        breaker.failed("it is gone")

    async def is_closed() -> bool:
        return not breaker.is_open

    await eventually("it closes", is_closed)
    pauses = [later - earlier for earlier, later in zip(patient.probed_at_s, patient.probed_at_s[1:], strict=False)]
    assert (7, True) == (len(patient.probed_at_s), min(pauses) > 0.005)
    assert ["The store is away (it is gone); until it is back, every look-up is a miss", "The store is back after"] == [
        re.split(r" \d", line)[0] for line in caplog.messages
    ]


async def test_it_opens_again() -> None:
    """One outage is not the last."""
    patient = Patient(away_for=0)
    breaker = Breaker(SETTINGS, "it", 0, patient.probe)

    async def is_closed() -> bool:
        return not breaker.is_open

    for _ in range(2):
        for _ in range(3):
            breaker.failed("no")
        assert breaker.is_open
        await eventually("it closes", is_closed)
    assert 2 == len(patient.probed_at_s)


async def test_a_closed_breaker_probes_no_more() -> None:
    """Closing ends the background task."""
    breaker = Breaker(SETTINGS, "it", 0, Patient(10**6).probe)
    for _ in range(3):
        breaker.failed("no")
    await breaker.close()
    assert (True, True) == (breaker.is_open, breaker._probing is not None and breaker._probing.done())
