"""When a store is away, and when it is back: nobody waits for it in between, and the log says each once."""

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Awaitable, Callable

from cache.pauses import pause_s
from cache.store import CacheError
from configs.cache import BreakerSettings

logger = logging.getLogger("enginehouse.cache")


class Breaker:
    """
    Open while the store is away.

    `max_failures` failures without a success between them open it. Failures at one moment are one: a hundred requests
    that wait for the same lost answer say no more than one. While it is open, `probe` is run in the background after
    growing pauses; the first one that succeeds closes it. So no request pays for finding out.
    """

    def __init__(
        self, settings: BreakerSettings, name: str, moment_s: float, probe: Callable[[], Awaitable[None]]
    ) -> None:
        """
        Args:
            name: what the log calls the store.
            moment_s: failures less than this many seconds apart are one.
            probe: raises `CacheError` while the store is away.
        """
        self.is_open = False
        self._settings = settings
        self._name = name
        self._moment_s = moment_s
        self._probe = probe
        self._failures = 0
        self._last_failure_s = float("-inf")
        self._probing: asyncio.Task[None] | None = None

    def succeeded(self) -> None:
        self._failures = 0

    def failed(self, reason: str) -> None:
        """
        Args:
            reason: for the log, should this failure be the one that opens the breaker.
        """
        now_s = time.monotonic()
        if self.is_open or now_s - self._last_failure_s < self._moment_s:
            return
        self._last_failure_s = now_s
        self._failures += 1
        if self._failures >= self._settings.max_failures:
            self.is_open = True
            self._failures = 0
            logger.warning("%s is away (%s); until it is back, every look-up is a miss", self._name, reason)
            self._probing = asyncio.create_task(self._wait_until_back(now_s))

    async def close(self) -> None:
        """Stay open for good."""
        self.is_open = True
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    async def _wait_until_back(self, since_s: float) -> None:
        first_s, max_s = self._settings.first_retry_ms / 1000, self._settings.max_retry_ms / 1000
        for num_before in itertools.count():
            await asyncio.sleep(pause_s(num_before, first_s, max_s, random.random()))  # noqa: S311  no secret
            try:
                await self._probe()
            except CacheError:
                continue
            self.is_open = False
            logger.warning("%s is back after %.1f s", self._name, time.monotonic() - since_s)
            return
