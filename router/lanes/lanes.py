"""
The router's queue: requests wait here for a replica with room, and lines of batches for the slack that is left.

An engine serves in the order of arrival, and what waits there can neither be put back nor be taken elsewhere. So a
request goes to an engine when that would begin with it, and one that cannot waits here, by its priority.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from configs.batches import BatchSettings
from configs.lanes import QueuePolicy
from router.errors import EngineOverloaded
from router.lanes.lane import LINE, Lane
from router.lanes.queue import Found, Queue, Ticket, Waiter
from router.lanes.room import has_room
from router.lanes.slack import Load, num_may_run, num_may_stay
from router.metrics import QUEUE_TIME, QUEUED, MetricSink
from router.models.table import Model
from router.replicas.choice import Pick
from router.replicas.registry import Replica, ReplicaDirectory

T = TypeVar("T")

_RETRY_AFTER_S = 5.0
_NO_POLICY = QueuePolicy()


class Yielded(Exception):
    """The line was aborted to make room. It is to be asked again."""


class Lanes:
    """Belongs to one event loop. Who finds room pays for a comparison."""

    def __init__(
        self, directory: ReplicaDirectory, sink: MetricSink, loop: asyncio.AbstractEventLoop, router_id: str
    ) -> None:
        self.slack = BatchSettings()
        """How much of an application's slots batches may have."""
        self._directory = directory
        self._sink = sink
        self._loop = loop
        self._router_id = router_id
        self._queues: dict[str, Queue] = {}
        self._number = 0
        self._reported: set[tuple[str, str]] = set()
        self._in_use: Counter[tuple[str, ...]] = Counter()

    # requests

    def ticket(self, model: Model, lane: Lane, account: object) -> Ticket:
        queue = self._queue(model.applications[0])
        self._number += 1
        return Ticket(lane, queue, model.queue, model.name, account, self._number, applications=model.applications)

    def enter(self, ticket: Ticket) -> None:
        """A request is there that needs an engine. Lines of batches make room for it at once, if there is none."""
        self._in_use[ticket.applications] += 1
        if ticket.lane.priority != "batch":
            self._count_client(ticket)

    def leave(self, ticket: Ticket) -> None:
        """It is over."""
        num_left = self._in_use.pop(ticket.applications) - 1
        if num_left:
            self._in_use[ticket.applications] = num_left
        queue = ticket.queue
        queue.num_clients -= ticket.is_client
        if ticket.batch_place is not None:
            ticket.batch_place.num_batch_requests -= 1
        if queue.waiting:
            self._serve(queue)

    def has_room(self, ticket: Ticket, replica: Replica) -> bool:
        return has_room(replica, ticket.lane, ticket.policy.max_ahead)

    def admits(self, ticket: Ticket, replica: Replica) -> bool:
        """Whether the request may go there at once: there is room, and nobody waits for it."""
        lane = ticket.lane
        if self._queue(replica.application).num_requests or (lane.priority == "batch" and not lane.is_line):
            return False
        return has_room(replica, lane, ticket.policy.max_ahead)

    async def wait(self, ticket: Ticket, application: str, find: Callable[[], Found], *, is_free: bool) -> Pick | None:
        """
        The replica that has room, once there is one and the request's turn has come. Nothing may be awaited before the
        request begins there. None: there is nothing to wait for any more.

        Cancelling it leaves no trace.

        Raises:
            EngineOverloaded: too many wait, or it has waited too long.
        """
        queue = self._queue(application)
        turn = self._loop.create_future()
        waiter = Waiter(ticket, lambda: self._find(queue, ticket, find), turn, self._loop.time(), is_free)
        queue.add(waiter)
        self._serve(queue)
        if not waiter.turn.done():
            self._bound(queue, ticket)
        if not waiter.turn.done():
            await self._wait_for_turn(queue, waiter)
        pick = waiter.turn.result()
        if pick is not None:
            pick.replica.end(is_completion=ticket.lane.is_completion)  # until here the room was kept for it
        return pick

    def urge(self, account: object, lane: Lane) -> None:
        """Somebody with this lane wants the answer that `account` is of, too: it waits no longer than theirs would."""
        for queue in self._queues.values():
            for waiter in queue.waiting if queue.num_requests else ():
                if waiter.ticket.account is account and lane.rank < waiter.ticket.lane.rank:
                    queue.remove(waiter)
                    waiter.ticket.lane = replace(waiter.ticket.lane, priority=lane.priority, is_line=False)
                    queue.add(waiter)
                    self._count_client(waiter.ticket)
                    self._serve(queue)
                    return

    def serve(self, application: str) -> None:
        """There may be room. Called when a request has ended, and when replicas or their figures have changed."""
        queue = self._queues.get(application)
        if queue is not None and queue.waiting:
            self._serve(queue)

    # lines of batches

    def num_lines(self, application: str) -> int:
        """Lines that run."""
        return len(self._queue(application).lines)

    def capacity(self, application: str) -> int:
        """Lines that may run now."""
        return num_may_run(self._load(self._queue(application)), self.slack.max_slots_ratio)

    def look(self) -> None:
        """Let in whoever may come in, and abort lines that must not stay. To be called often while lines run."""
        for queue in self._queues.values():
            if queue.lines:
                self._make_room(queue)
            if queue.waiting:
                self._serve(queue)

    async def run_line(self, application: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """
        What `ask` returns, once it had its turn.

        Raises:
            Yielded: it was begun, and aborted for a client.
        """
        queue = self._queue(application)
        self._number += 1
        ticket = Ticket(LINE, queue, _NO_POLICY, "", None, self._number)
        turn = self._loop.create_future()
        waiter = Waiter(ticket, lambda: (self._has_slack(queue), None), turn, self._loop.time(), starts_line=True)
        queue.add(waiter)
        self._serve(queue)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            self._withdraw(queue, waiter)
            raise
        task = self._loop.create_task(ask())
        queue.lines[queue.lines.index(None)] = task
        try:
            return await task
        except asyncio.CancelledError:
            if _is_cancelling():
                raise
            raise Yielded from None
        finally:
            if task in queue.lines:
                queue.lines.remove(task)
            self._serve(queue)

    def num_waiting(self) -> Counter[str]:
        """
        Requests that wait, by application. Lines of batches wait for the slack, and count as one where there is no
        replica. May be called from another thread.
        """
        return Counter(
            {
                name: queue.num_requests or 1
                for name, queue in list(self._queues.items())
                if queue.num_requests or (queue.waiting and not self._directory.of(name))
            }
        )

    def applications_in_use(self) -> frozenset[str]:
        """
        Those to which requests under way may yet be sent, by the tables that they began with. May be called from
        another thread.
        """
        return frozenset(name for applications in list(self._in_use) for name in applications)

    def report(self) -> None:
        """Record how many wait. Called twice a second."""
        counts = Counter(
            (one.ticket.model, one.ticket.lane.priority)
            for queue in self._queues.values()
            if queue.num_requests
            for one in queue.waiting
            if not one.ticket.lane.is_line
        )
        for model, priority in self._reported | counts.keys():
            labels = {"model": model, "priority": priority, "router": self._router_id}
            self._sink.record(QUEUED, counts[model, priority], labels)  # type: ignore[index]  # a priority is a str
        self._reported = set(counts)

    # the queue's own

    def _queue(self, application: str) -> Queue:
        queue = self._queues.get(application)
        if queue is None:
            queue = self._queues[application] = Queue(application)
        return queue

    def _count_client(self, ticket: Ticket) -> None:
        queue = ticket.queue
        queue.num_clients += not ticket.is_client
        ticket.is_client = True
        if queue.lines:
            self._make_room(queue)

    def _bound(self, queue: Queue, ticket: Ticket) -> None:
        """Where more wait than may, the last of them loses its place: the newcomer, or one that it passes."""
        last = queue.last_request()
        if last is None or ticket.lane.is_line or queue.num_requests <= ticket.policy.max_length:
            return
        queue.remove(last)
        error = EngineOverloaded(
            f"The model {ticket.model!r} has as much to do as it can, and {queue.num_requests} requests wait for it.",
            retry_after_s=_RETRY_AFTER_S,
        )
        if not last.turn.done():
            last.turn.set_exception(error)

    async def _wait_for_turn(self, queue: Queue, waiter: Waiter) -> None:
        ticket = waiter.ticket
        try:
            async with asyncio.timeout_at(waiter.since + ticket.policy.max_wait_s):
                await waiter.turn
        except TimeoutError:
            self._withdraw(queue, waiter)
            raise EngineOverloaded(
                f"The model {ticket.model!r} had too much to do for {ticket.policy.max_wait_s:g} s.",
                retry_after_s=_RETRY_AFTER_S,
            ) from None
        except asyncio.CancelledError:
            self._withdraw(queue, waiter)
            raise
        finally:
            labels = {"model": ticket.model, "priority": ticket.lane.priority}
            self._sink.record(QUEUE_TIME, self._loop.time() - waiter.since, labels)

    def _serve(self, queue: Queue) -> None:
        """Give room to those who wait, first to last, until there is none for the next."""
        stuck: set[tuple[int, bool]] = set()
        index = 0
        while index < len(queue.waiting):
            waiter = queue.waiting[index]
            lane = waiter.ticket.lane
            if waiter.turn.done():  # cancelled, and about to withdraw
                queue.remove(waiter)
                continue
            is_over, pick = (False, None) if lane.rank in stuck else waiter.find()
            if is_over:
                self._grant(queue, waiter, pick)
                continue
            if waiter.is_free and not lane.is_completion:
                return  # what has room for others behind it would have room for it
            if waiter.is_free:
                stuck.add(lane.rank)
            index += 1

    def _grant(self, queue: Queue, waiter: Waiter, pick: Pick | None) -> None:
        queue.remove(waiter)
        ticket = waiter.ticket
        if pick is not None:
            pick.replica.begin(is_completion=ticket.lane.is_completion)
            if ticket.lane.priority == "batch" and not ticket.lane.is_line and ticket.batch_place is None:
                queue.num_batch_requests += 1
                ticket.batch_place = queue
        elif waiter.starts_line:
            queue.lines.append(None)
        waiter.turn.set_result(pick)

    def _withdraw(self, queue: Queue, waiter: Waiter) -> None:
        """Whoever waited is gone. It may have had its turn at the same moment."""
        if waiter.is_waiting:
            queue.remove(waiter)
            return
        if waiter.turn.cancelled() or waiter.turn.exception() is not None:
            return
        pick = waiter.turn.result()
        if pick is not None:
            pick.replica.end(is_completion=waiter.ticket.lane.is_completion)
        elif waiter.starts_line:
            queue.lines.remove(None)
        self._serve(queue)

    # the slack

    def _find(self, queue: Queue, ticket: Ticket, find: Callable[[], Found]) -> Found:
        """What `find` finds, for a request with the priority of batches only in the slack."""
        is_counted = ticket.lane.priority != "batch" or ticket.lane.is_line or ticket.batch_place is not None
        return find() if is_counted or self._has_slack(queue) else (False, None)

    def _has_slack(self, queue: Queue) -> bool:
        load = self._load(queue)
        return queue.num_batch < num_may_run(load, self.slack.max_slots_ratio)

    def _make_room(self, queue: Queue) -> None:
        """The youngest go: least of their work is lost."""
        num_surplus = queue.num_batch - num_may_stay(self._load(queue))
        while num_surplus > 0 and queue.lines:
            youngest = queue.lines[-1]
            if youngest is None:  # it begins at once, and is seen at the next look
                return
            queue.lines.pop()
            youngest.cancel()
            num_surplus -= 1

    def _load(self, queue: Queue) -> Load:
        replicas = self._directory.of(queue.application)
        return Load(
            num_slots=sum(replica.max_num_seqs or self.slack.slots_per_replica for replica in replicas),
            num_interactive=queue.num_clients,
            num_lines=queue.num_batch,
            num_elsewhere=sum(replica.num_elsewhere for replica in replicas),
            num_waiting=sum(replica.num_waiting for replica in replicas),
        )


def _is_cancelling() -> bool:
    """Whether somebody wants the waiting task itself to end, not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
