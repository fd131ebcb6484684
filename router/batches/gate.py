"""Where lines wait for a slot, and are aborted for a client who needs theirs."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from router.batches.slack import Load, num_may_run, num_may_stay

T = TypeVar("T")


class Yielded(Exception):
    """The line was aborted to make room. It is to be asked again."""


@dataclass(slots=True)
class _Queue(Generic[T]):
    waiting: deque["asyncio.Future[None]"] = field(default_factory=deque)
    running: list["asyncio.Task[T] | None"] = field(default_factory=list)
    """In the order in which they began; None for one that was let in and has not begun."""


class Gate:
    """
    Lets lines in, application by application, as many as `measure` and the ratio allow. Belongs to one event loop.

    Interactive requests are counted here as well: `enter` and `leave` cost the request path a dictionary look-up.
    """

    def __init__(self, measure: Callable[[str, int, int], Load], max_slots_ratio: float) -> None:
        self._measure = measure
        self._max_slots_ratio = max_slots_ratio
        self._queues: dict[str, _Queue[Any]] = {}
        self._num_interactive: dict[str, int] = {}

    def enter(self, application: str) -> None:
        """A client's request for this application is there: make room at once if there is none."""
        self._num_interactive[application] = self._num_interactive.get(application, 0) + 1
        queue = self._queues.get(application)
        if queue is not None and queue.running:
            self._make_room(application, queue)

    def leave(self, application: str) -> None:
        self._num_interactive[application] -= 1

    def num_running(self, application: str) -> int:
        queue = self._queues.get(application)
        return len(queue.running) if queue is not None else 0

    @property
    def applications(self) -> list[str]:
        """Those with lines that wait or run."""
        return list(self._queues)

    def capacity(self, application: str) -> int:
        """Lines that may run now."""
        return num_may_run(self._load(application), self._max_slots_ratio)

    def look(self) -> None:
        """Let in what may come in, and abort what must not stay. Called often while anything waits or runs."""
        for application, queue in list(self._queues.items()):
            self._make_room(application, queue)
            self._let_in(application, queue)

    async def run(self, application: str, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """
        What `ask` returns, once it had its turn.

        Raises:
            Yielded: it was begun, and aborted for a client.
        """
        queue = self._queues.setdefault(application, _Queue())
        turn = asyncio.get_running_loop().create_future()
        queue.waiting.append(turn)
        self._let_in(application, queue)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was let in at the same moment
                queue.running.remove(None)
            elif turn in queue.waiting:
                queue.waiting.remove(turn)
            self._tidy(application, queue)
            raise
        task = asyncio.get_running_loop().create_task(ask())
        queue.running[queue.running.index(None)] = task
        try:
            return await task
        except asyncio.CancelledError:
            if _is_cancelling():
                raise
            raise Yielded from None
        finally:
            if task in queue.running:
                queue.running.remove(task)
            self._let_in(application, queue)
            self._tidy(application, queue)

    def _let_in(self, application: str, queue: _Queue[Any]) -> None:
        if not queue.waiting:
            return
        num_free = self.capacity(application) - len(queue.running)
        while queue.waiting and num_free > 0:
            turn = queue.waiting.popleft()
            if turn.done():  # whoever waited has been cancelled
                continue
            queue.running.append(None)
            turn.set_result(None)
            num_free -= 1

    def _make_room(self, application: str, queue: _Queue[Any]) -> None:
        """The youngest go: least of their work is lost."""
        num_surplus = len(queue.running) - num_may_stay(self._load(application))
        while num_surplus > 0 and queue.running:
            youngest = queue.running[-1]
            if youngest is None:  # it begins at once, and is seen at the next look
                return
            queue.running.pop()
            youngest.cancel()
            num_surplus -= 1

    def _load(self, application: str) -> Load:
        num_interactive = self._num_interactive.get(application, 0)
        return self._measure(application, num_interactive, self.num_running(application))

    def _tidy(self, application: str, queue: _Queue[Any]) -> None:
        if not queue.waiting and not queue.running and self._queues.get(application) is queue:
            del self._queues[application]


def _is_cancelling() -> bool:
    """Whether somebody wants the waiting task itself to end, not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
