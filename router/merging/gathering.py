"""
Requests that gather while others like them are being answered, and then go as one.

Nothing ever waits for a clock: what comes while its model is idle goes at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from configs.router import MergingPolicy
from router.errors import ClientDisconnected, ServingError
from router.merging.inputs import Inputs
from router.outcomes import outcome_of


class Member(Protocol):
    """One request."""

    @property
    def inputs(self) -> Inputs: ...


Ask = Callable[[Sequence[Any]], Awaitable[None]]
"""Answers all members that it is given, or leaves some to themselves; raises ServingError when that goes for all."""


def num_due(waiting: Sequence[Inputs], policy: MergingPolicy, num_running: int, num_places: int) -> int:
    """
    How many of the waiting requests, from the first on, go now as one call; 0 when they go on waiting.

    Args:
        num_running: calls that are being answered.
        num_places: calls that may be, as long as no limit on the size of one is reached.
    """
    num_inputs = num_bytes = num_requests = 0
    for inputs in waiting:
        num_inputs += len(inputs.items)
        num_bytes += inputs.num_bytes
        if num_requests and (num_inputs > policy.max_inputs or num_bytes > policy.max_bytes):
            return num_requests
        num_requests += 1
    is_full = num_inputs >= policy.max_inputs or num_bytes >= policy.max_bytes
    return num_requests if num_running < num_places or is_full else 0


@dataclass(slots=True, eq=False)
class _Waiting:
    member: Member
    answered: "asyncio.Future[None]"
    call: "_Running | None" = None


@dataclass(slots=True, eq=False)
class _Running:
    wanted_by: set[_Waiting]
    task: "asyncio.Task[None] | None" = None


@dataclass(slots=True, eq=False)
class _Gathering:
    policy: MergingPolicy
    num_places: int
    ask: Ask
    waiting: list[_Waiting] = field(default_factory=list)
    num_running: int = 0
    is_flush_due: bool = False


class Gatherings:
    """All requests that gather, by what they must have in common. Belongs to one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._gatherings: dict[Hashable, _Gathering] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.uncounted: set[str] = set()
        """Fingerprints of engines that count a text otherwise alone than among others, so that merging must rest."""

    async def join(self, key: Hashable, member: Member, policy: MergingPolicy, num_places: int, ask: Ask) -> None:
        """
        Wait until `ask` has dealt with the request, alone or among others with the same `key`.

        Cancelling takes the request out, and ends the call when nobody else wants it.

        Raises:
            ServingError: as `ask`.
        """
        gathering = self._gatherings.setdefault(key, _Gathering(policy, num_places, ask))
        gathering.policy, gathering.num_places, gathering.ask = policy, num_places, ask
        waiting = _Waiting(member, self._loop.create_future())
        gathering.waiting.append(waiting)
        if not gathering.is_flush_due:  # after the other requests that this turn of the loop brings
            gathering.is_flush_due = True
            self._loop.call_soon(self._flush, key)
        try:
            await waiting.answered
        finally:
            self._leave(gathering, waiting)

    def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()

    def _leave(self, gathering: _Gathering, waiting: _Waiting) -> None:
        if waiting.call is None:
            gathering.waiting.remove(waiting)
            return
        waiting.call.wanted_by.discard(waiting)
        if not waiting.call.wanted_by and waiting.call.task is not None:
            waiting.call.task.cancel()

    def _flush(self, key: Hashable) -> None:
        gathering = self._gatherings[key]
        gathering.is_flush_due = False
        while gathering.waiting:
            inputs = [waiting.member.inputs for waiting in gathering.waiting]
            num = num_due(inputs, gathering.policy, gathering.num_running, gathering.num_places)
            if not num:
                return
            going, gathering.waiting = gathering.waiting[:num], gathering.waiting[num:]
            self._launch(key, gathering, going)
        if not gathering.num_running:
            del self._gatherings[key]

    def _launch(self, key: Hashable, gathering: _Gathering, going: list[_Waiting]) -> None:
        call = _Running(set(going))
        for waiting in going:
            waiting.call = call
        gathering.num_running += 1
        call.task = task = self._loop.create_task(self._run(gathering, going))
        self._tasks.add(task)

        def ended(_: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            gathering.num_running -= 1
            if not gathering.is_flush_due:
                self._flush(key)

        task.add_done_callback(ended)

    async def _run(self, gathering: _Gathering, going: list[_Waiting]) -> None:
        error: ServingError | ClientDisconnected | None = ClientDisconnected()  # unless it comes to an end
        try:
            error = await outcome_of(gathering.ask([waiting.member for waiting in going]), "a merged call")
        finally:
            for waiting in going:
                if not waiting.answered.done():
                    waiting.answered.set_exception(error) if error else waiting.answered.set_result(None)
