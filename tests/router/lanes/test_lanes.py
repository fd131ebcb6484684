"""router.lanes.lanes: whatever comes, leaves or is aborted, nothing is lost and nothing is left."""

import asyncio
import random
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from configs.lanes import QueuePolicy
from router.errors import EngineOverloaded
from router.lanes.lane import LINE, Lane
from router.lanes.lanes import Lanes, Yielded
from router.lanes.queue import Found, Ticket
from router.metrics import NoMetrics
from router.models.table import Model
from router.replicas.choice import Pick
from router.replicas.registry import Replica, ReplicaDirectory

APP = "application"
MAX_AHEAD = 1
LANES = (
    Lane(), Lane(), Lane("background"), Lane("batch"), Lane(is_completion=True),
    Lane(is_completion=True, leaves_a_slot=True),
)  # fmt: skip


class Traffic:
    """Requests of all kinds, and lines of batches, which take a few turns of the event loop each."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - no secret
        self.replicas = [
            Replica(name, "m", "127.0.0.1", 1, "s", "simulated", "vllm", max_num_seqs=self.chance.randint(1, 3))
            for name in ("r1", "r2")
        ]
        directory = ReplicaDirectory()
        directory.update(APP, self.replicas)
        self.model = Model("m", (APP,), queue=QueuePolicy(max_ahead=MAX_AHEAD, max_length=self.chance.randint(1, 20)))
        self.lanes = Lanes(directory, NoMetrics(), asyncio.get_running_loop(), "router-1")
        self.most_over = 0
        self.num_answered = 0

    async def request(self, lane: Lane) -> None:
        ticket = self.lanes.ticket(self.model, lane, None)
        self.lanes.enter(ticket)
        try:
            with suppress(EngineOverloaded):
                await self._answer(ticket)
                self.num_answered += 1
        finally:
            self.lanes.leave(ticket)

    async def line(self) -> None:
        while True:
            with suppress(Yielded):
                return await self.lanes.run_line(APP, lambda: self.request(LINE))

    async def _answer(self, ticket: Ticket) -> None:
        def find() -> Found:
            having_room = [one for one in self.replicas if self.lanes.has_room(ticket, one)]
            return bool(having_room), Pick(having_room[0], "least_busy") if having_room else None

        replica = self.chance.choice(self.replicas)
        if not self.lanes.admits(ticket, replica):
            pick = await self.lanes.wait(ticket, APP, find, is_free=True)
            assert pick is not None
            replica = pick.replica
        is_completion = ticket.lane.is_completion
        replica.begin(is_completion=is_completion)
        self.most_over = max(self.most_over, replica.load - (replica.max_num_seqs or 0))
        try:
            for _ in range(self.chance.randint(0, 5)):
                await asyncio.sleep(0)
        finally:
            replica.end(is_completion=is_completion)
            self.lanes.serve(APP)

    async def run(self) -> None:
        tasks: list[asyncio.Task[None]] = []
        for _ in range(60):
            is_line = self.chance.random() < 0.2
            tasks.append(asyncio.create_task(self.line() if is_line else self.request(self.chance.choice(LANES))))
            if self.chance.random() < 0.3:
                self.chance.choice(tasks).cancel()
            if self.chance.random() < 0.5:
                await asyncio.sleep(0)
            if self.chance.random() < 0.1:
                self.lanes.look()
        async with asyncio.timeout(60):
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                assert result is None or isinstance(result, asyncio.CancelledError)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_everybody_is_answered_refused_or_gone(seed: int) -> None:
    """All that is counted is 0 in the end, and no replica ever had more than it runs, and those that are ahead."""

    async def run() -> None:
        traffic = Traffic(seed)
        await traffic.run()
        queue = traffic.lanes._queue(APP)
        assert ([], [], 0, 0, 0) == (
            queue.waiting, queue.lines, queue.num_requests, queue.num_clients, queue.num_batch_requests,
        )  # fmt: skip
        assert [(0, 0), (0, 0)] == [(one.num_running, one.num_completions) for one in traffic.replicas]
        assert frozenset() == traffic.lanes.applications_in_use()
        assert traffic.most_over <= MAX_AHEAD
        assert traffic.num_answered > 0

    asyncio.run(run())
