"""Lines wait, run, and make room."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from polling import eventually

from router.batches.gate import Gate, Yielded
from router.batches.slack import Load

APP = "application"


class Lines:
    """Lines at a gate with four slots, three for lines; each runs until `finish`."""

    def __init__(self) -> None:
        self.num_slots = 4
        self.gate = Gate(lambda _, clients, lines: Load(self.num_slots, clients, lines), 0.75)
        self.finish = asyncio.Event()
        self.tasks: list[asyncio.Task[str]] = []

    def start(self, *names: str) -> None:
        self.tasks += [asyncio.create_task(self.gate.run(APP, self._line(name))) for name in names]

    def _line(self, name: str) -> Callable[[], Coroutine[Any, Any, str]]:
        async def run() -> str:
            await self.finish.wait()
            return name

        return run

    async def results(self) -> list[str | BaseException]:
        self.finish.set()
        return await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_as_many_run_as_may() -> None:
    """The others follow as places come free, in their order."""
    lines = Lines()
    lines.start("a", "b", "c", "d", "e")
    await eventually(lambda: lines.gate.num_running(APP) == 3)
    assert ["a", "b", "c", "d", "e"] == await lines.results()
    assert [] == lines.gate.applications


async def test_the_youngest_makes_room_for_a_client() -> None:
    """One for the second client, who would have found no free slot; the others go on."""
    lines = Lines()
    lines.start("a", "b", "c")
    await eventually(lambda: lines.gate.num_running(APP) == 3)
    await asyncio.sleep(0)
    lines.gate.enter(APP)
    assert 2 == lines.gate.num_running(APP)
    _, _, last = await lines.results()
    assert isinstance(last, Yielded)


async def test_lines_wait_while_clients_take_the_slots() -> None:
    """And are let in once the clients have left."""
    lines = Lines()
    for _ in range(3):
        lines.gate.enter(APP)
    lines.start("a")
    await asyncio.sleep(0)
    assert 0 == lines.gate.num_running(APP)
    lines.gate.leave(APP)
    lines.gate.look()
    assert ["a"] == await lines.results()


async def test_slots_that_go_are_given_up() -> None:
    """A replica is gone: lines without a slot are aborted at the next look."""
    lines = Lines()
    lines.start("a", "b", "c")
    await eventually(lambda: lines.gate.num_running(APP) == 3)
    await asyncio.sleep(0)
    lines.num_slots = 2
    lines.gate.look()
    assert ["a", Yielded, Yielded] == [one if isinstance(one, str) else type(one) for one in await lines.results()]


@pytest.mark.parametrize("num_before", [0, 3], ids=["running", "waiting"])
async def test_a_line_that_is_cancelled_leaves_nothing(num_before: int) -> None:
    """Neither in the queue nor among those that run."""
    lines = Lines()
    lines.start(*[str(number) for number in range(num_before + 1)])
    await asyncio.sleep(0)
    lines.tasks[-1].cancel()
    assert isinstance((await lines.results())[-1], asyncio.CancelledError)
    assert [] == lines.gate.applications
