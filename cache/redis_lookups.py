"""Look-ups in Redis: those that come together share one round trip, and nobody waits longer than the budget."""

import asyncio
from typing import Any, Final

from redis.exceptions import RedisError

from cache.breaker import Breaker
from cache.redis_link import LinkFailed, RedisLink

Values = list[bytes | None]
"""What was found under the names of one look-up, in their order."""

_BATCH: Final = 64
"""Look-ups in one round trip at most: about 1.2 ms of CPU."""

_BATCHES: Final = 4
"""Round trips under way. Four, so that one that hangs does not hold up the rest while nothing is known yet."""

_CLUSTER_LOOKUPS: Final = 256
"""In a cluster look-ups do not share a round trip: a node that hangs would hold up the answers of the others."""


class RedisLookups:
    """Takes look-ups until their answers or the end of their time, whichever comes first."""

    def __init__(self, link: RedisLink, breaker: Breaker, budget_s: float) -> None:
        self._link = link
        self._breaker = breaker
        self._budget_s = budget_s
        self._batch, self._max_running = (1, _CLUSTER_LOOKUPS) if link.is_cluster else (_BATCH, _BATCHES)
        self._waiting: list[tuple[list[str], asyncio.Future[Values | None]]] = []
        self._running: set[asyncio.Task[None]] = set()
        self._is_due = False

    async def read(self, names: list[str]) -> Values | None:
        """The values, or None when Redis failed or did not answer in time. Only while the breaker is closed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Values | None] = loop.create_future()
        self._waiting.append((names, future))
        if not self._is_due:
            # not at once: whoever else looks up in this round of the event loop comes along
            self._is_due = True
            loop.call_soon(self._start)
        timer = loop.call_later(self._budget_s, self._give_up, future)
        try:
            return await future
        finally:
            timer.cancel()

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _give_up(self, future: asyncio.Future[Values | None]) -> None:
        if not future.done():
            future.set_result(None)
            self._breaker.failed(f"no answer within {self._budget_s * 1000:g} ms")

    def _start(self) -> None:
        self._is_due = False
        self._waiting = [lookup for lookup in self._waiting if not lookup[1].done()]
        while self._waiting and len(self._running) < self._max_running:
            batch, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
            task = asyncio.create_task(self._run(batch))
            self._running.add(task)
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start()

    async def _run(self, batch: list[tuple[list[str], asyncio.Future[Values | None]]]) -> None:
        try:
            results = await self._link.run([("MGET", *names) for names, _ in batch])
        except LinkFailed as error:
            self._breaker.failed(str(error))
            results = [None] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            self._settle(future, result)

    def _settle(self, future: asyncio.Future[Values | None], result: Any) -> None:  # noqa: ANN401  a list, an error or None
        if future.done():
            return  # too late, or its request is gone
        if isinstance(result, list):
            self._breaker.succeeded()
            future.set_result(result)
            return
        if isinstance(result, RedisError):
            self._breaker.failed(f"{type(result).__name__}: {result}")
        future.set_result(None)
