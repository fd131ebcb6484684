"""router.reliability.race: two replicas asked for one answer."""

import asyncio

from polling import eventually

from router.errors import ServingError
from router.reliability.race import Race


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
