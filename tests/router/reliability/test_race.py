"""router.reliability.race: two replicas asked for one answer."""

import asyncio
from collections.abc import Callable

import pytest
from polling import eventually

from router.errors import ContextLengthExceeded, EngineUnavailable, InvalidRequest, ServingError
from router.reliability.race import Race, Run


class Attempt:
    """One attempt, which goes through its stages as the test lets it."""

    def __init__(self, race: Race, name: str) -> None:
        self._race = race
        self.name = name
        self.connected, self.answered, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.has_asked = False

    async def run(self) -> ServingError | None:
        await self.connected.wait()
        self.has_asked = True
        await self.answered.wait()
        self._race.begun(self.name)
        await self.ended.wait()
        return None


async def test_a_loser_that_still_connects_never_asks() -> None:
    """The answer is on its way for long then; what a second engine said would come into the middle of it."""
    race = Race()
    first, second = Attempt(race, "first"), Attempt(race, "second")
    second.connected.set()
    second.answered.set()
    racing = asyncio.create_task(race.run("first", first.run(), 0.0, lambda: ("second", second.run())))
    await eventually(lambda: second.has_asked)
    first.connected.set()
    first.answered.set()
    second.ended.set()
    assert ("second", None) == await racing
    assert not first.has_asked


async def refused() -> ServingError | None:
    return InvalidRequest("The fallback does not take it.")


async def raised() -> ServingError | None:
    raise ContextLengthExceeded("The fallback has less room.")


@pytest.mark.parametrize("second", [refused, raised])
async def test_what_the_second_refuses_the_first_may_take(second: Callable[[], Run]) -> None:
    """It may be a fallback, with limits of its own; the first is only slow."""
    race, is_over = Race(), asyncio.Event()

    async def other() -> ServingError | None:
        try:
            return await second()
        finally:
            is_over.set()

    first = Attempt(race, "first")
    racing = asyncio.create_task(race.run("first", first.run(), 0.0, lambda: ("second", other())))
    await is_over.wait()
    for _ in range(5):
        await asyncio.sleep(0)  # the race hears of it
    for stage in (first.connected, first.answered, first.ended):
        stage.set()
    assert ("first", None) == await racing


async def test_the_firsts_failure_is_told_where_the_second_is_refused() -> None:
    """The client asked for the first one's model, which may be back when it asks again."""
    lost, is_over = EngineUnavailable("It is gone."), asyncio.Event()

    async def lose() -> ServingError | None:
        await is_over.wait()
        return lost

    async def other() -> ServingError | None:
        is_over.set()
        return await refused()

    assert ("first", lost) == await Race().run("first", lose(), 0.0, lambda: ("second", other()))
