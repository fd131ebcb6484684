"""Who waits for room at one application, in order, and what runs there."""

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from configs.lanes import QueuePolicy
from router.lanes.lane import Lane
from router.replicas.choice import Pick

Found: TypeAlias = tuple[bool, Pick | None]
"""Whether the waiting is over, and the replica that has room. Over without a replica: none is left to wait for."""
Order: TypeAlias = tuple[int, bool, bool, int]


@dataclass(slots=True, eq=False)
class Ticket:
    """
    A request's place among others, from its arrival to its end.

    `queue` is that of its model's own application. `number` grows with each arrival. `account` is the answer's, by
    which others who want the same answer know it.
    """

    lane: Lane
    queue: "Queue"
    policy: QueuePolicy
    model: str
    account: object
    number: int
    is_client: bool = False
    """Counted among its queue's clients."""
    batch_place: "Queue | None" = None
    """Where it is counted among what batches run, once it had its turn there."""
    applications: tuple[str, ...] = ()
    """All that may serve it, by the table that it began with."""


@dataclass(slots=True, eq=False)
class Waiter:
    """
    `find` looks for room. `is_free` says that any replica of the application would do, so that others like it need not
    look where it has found nothing.
    """

    ticket: Ticket
    find: Callable[[], Found]
    turn: "asyncio.Future[Pick | None]"
    since: float
    is_free: bool = True
    starts_line: bool = False
    """A line of a batch begins with its turn; it looks for a replica then."""
    is_waiting: bool = False

    @property
    def order(self) -> Order:
        """What batches run already goes before what waits for the slack that it takes up."""
        ticket = self.ticket
        has_begun = (ticket.lane.is_line and not self.starts_line) or ticket.batch_place is not None
        return (*ticket.lane.rank, not has_begun, ticket.number)


@dataclass(slots=True, eq=False)
class Queue:
    """Of one application. `waiting` is in the order in which it is served."""

    application: str
    waiting: list[Waiter] = field(default_factory=list)
    num_requests: int = 0
    """Of those that wait, the ones that are no lines of batches."""
    num_clients: int = 0
    """Requests of clients, waiting or running, but for those with the priority of batches."""
    num_batch_requests: int = 0
    """Requests of clients with that priority, running."""
    lines: list["asyncio.Task[Any] | None"] = field(default_factory=list)
    """Lines of batches that run, in the order in which they began; None for one that was let in and has not begun."""

    @property
    def num_batch(self) -> int:
        return len(self.lines) + self.num_batch_requests

    def add(self, waiter: Waiter) -> None:
        waiter.is_waiting = True
        self.waiting.insert(self._place(waiter.order), waiter)
        self.num_requests += not waiter.ticket.lane.is_line

    def remove(self, waiter: Waiter) -> None:
        waiter.is_waiting = False
        del self.waiting[self._place(waiter.order)]
        self.num_requests -= not waiter.ticket.lane.is_line

    def last_request(self) -> Waiter | None:
        """The one that has to wait longest."""
        return next((one for one in reversed(self.waiting) if not one.ticket.lane.is_line), None)

    def _place(self, order: Order) -> int:
        return bisect_left(self.waiting, order, key=lambda one: one.order)
