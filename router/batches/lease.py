"""Which router works on a batch. Advisory: two that both believe they do waste work, and double nothing."""

import asyncio
import random
import time

from router.batches.ledger import Ledger
from router.batches.records import Batch

LEASE_S = 12.0
"""How long a router that is gone keeps its batches from the others, in seconds."""
_SETTLE_S = 0.2
"""After writing a lease, in seconds: who reads itself then was the last to write."""


class LeaseLost(Exception):
    """Another router works on the batch, or has closed it."""


class Lease:
    """One router's claim on one batch. Moments are Unix times: routers' clocks may differ by some seconds."""

    def __init__(self, ledger: Ledger, batch: Batch, holder: str) -> None:
        self._ledger = ledger
        self._batch = batch
        self._holder = holder

    async def take(self) -> bool:
        """Whether the batch is now this router's to work on."""
        if not await self._is_free():
            return False
        await self._write(LEASE_S)
        await asyncio.sleep(_SETTLE_S * (1 + random.random()))  # noqa: S311 - to differ from another's
        current = await self._ledger.read_lease(self._batch)
        return current is not None and current["holder"] == self._holder

    async def renew(self) -> None:
        """
        Raises:
            LeaseLost: another router has taken it over.
        """
        if not await self._is_free():
            raise LeaseLost
        await self._write(LEASE_S)

    async def give_up(self) -> None:
        """Let another router have it at once."""
        current = await self._ledger.read_lease(self._batch)
        if current is not None and current["holder"] == self._holder:
            await self._write(0)

    async def _is_free(self) -> bool:
        current = await self._ledger.read_lease(self._batch)
        return current is None or current["holder"] == self._holder or current["until"] <= time.time()

    async def _write(self, duration_s: float) -> None:
        await self._ledger.write_lease(self._batch, {"holder": self._holder, "until": time.time() + duration_s})
