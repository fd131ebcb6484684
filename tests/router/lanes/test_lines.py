"""Lines of batches wait, run, and make room."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from polling import eventually

from router.lanes.lane import INTERACTIVE
from router.lanes.lanes import Lanes, Yielded
from router.lanes.queue import Ticket
from router.metrics import NoMetrics
from router.models.table import Model
from router.replicas.registry import Replica, ReplicaDirectory

APP = "application"
MODEL = Model("m", (APP,))


class Lines:
    """Lines at an application with four slots, three for lines; each runs until `finish`."""

    def __init__(self) -> None:
        directory = ReplicaDirectory()
        self.replica = Replica("r1", "m", "127.0.0.1", 1, "s", "simulated", "vllm", max_num_seqs=4)
        directory.update(APP, [self.replica])
        self.lanes = Lanes(directory, NoMetrics(), asyncio.get_running_loop(), "router-1")
        self.finish = asyncio.Event()
        self.tasks: list[asyncio.Task[str]] = []

    def start(self, *names: str) -> None:
        self.tasks += [asyncio.create_task(self.lanes.run_line(APP, self._line(name))) for name in names]

    def _line(self, name: str) -> Callable[[], Coroutine[Any, Any, str]]:
        async def run() -> str:
            await self.finish.wait()
            return name

        return run

    def client(self) -> Ticket:
        """A request of a client arrives."""
        ticket = self.lanes.ticket(MODEL, INTERACTIVE, None)
        self.lanes.enter(ticket)
        return ticket

    @property
    def num_waiting(self) -> int:
        return len(self.lanes._queue(APP).waiting)

    async def results(self) -> list[str | BaseException]:
        self.finish.set()
        return await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_as_many_run_as_may() -> None:
    """The others follow as places come free, in their order."""
    lines = Lines()
    lines.start("a", "b", "c", "d", "e")
    await eventually(lambda: lines.lanes.num_lines(APP) == 3)
    assert ["a", "b", "c", "d", "e"] == await lines.results()
    assert (0, 0) == (lines.num_waiting, lines.lanes.num_lines(APP))


async def test_the_youngest_makes_room_for_a_client() -> None:
    """One for the second client, who would have found no free slot; the others go on."""
    lines = Lines()
    lines.start("a", "b", "c")
    await eventually(lambda: lines.lanes.num_lines(APP) == 3)
    await asyncio.sleep(0)
    lines.client()
    assert 2 == lines.lanes.num_lines(APP)
    _, _, last = await lines.results()
    assert isinstance(last, Yielded)


async def test_lines_wait_while_clients_take_the_slots() -> None:
    """And are let in once the clients have left."""
    lines = Lines()
    clients = [lines.client() for _ in range(3)]
    lines.start("a")
    await asyncio.sleep(0)
    assert 0 == lines.lanes.num_lines(APP)
    lines.lanes.leave(clients[0])
    assert ["a"] == await lines.results()


async def test_slots_that_go_are_given_up() -> None:
    """A replica is gone: lines without a slot are aborted at the next look."""
    lines = Lines()
    lines.start("a", "b", "c")
    await eventually(lambda: lines.lanes.num_lines(APP) == 3)
    await asyncio.sleep(0)
    lines.replica.max_num_seqs = 2
    lines.lanes.look()
    assert ["a", Yielded, Yielded] == [one if isinstance(one, str) else type(one) for one in await lines.results()]


@pytest.mark.parametrize("num_before", [0, 3], ids=["running", "waiting"])
async def test_a_line_that_is_cancelled_leaves_nothing(num_before: int) -> None:
    """Neither in the queue nor among those that run."""
    lines = Lines()
    lines.start(*[str(number) for number in range(num_before + 1)])
    await asyncio.sleep(0)
    lines.tasks[-1].cancel()
    assert isinstance((await lines.results())[-1], asyncio.CancelledError)
    assert (0, 0) == (lines.num_waiting, lines.lanes.num_lines(APP))
