"""A router's word on the requests that reach no engine, for the policy that decides how many replicas there are."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from ray.exceptions import RayError

from deployments.serve_internals import forget_demand, publish_demand

logger = logging.getLogger("enginehouse.router")

INTERVAL_S = 0.5
"""How often a router looks whether it has something to say, in seconds."""


class DemandReport:
    """
    Published while there is demand, and taken back when there is none: a house that is at rest says nothing.

    Args:
        router_id: whose word it is.
        read: requests that want each application, and are served by none of its replicas.
    """

    def __init__(self, router_id: str, read: Callable[[], Counter[str]]) -> None:
        self._router_id = router_id
        self._read = read
        self._number = 0
        self._is_published = False

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self._tell(self._read())
            except RayError as error:  # nobody is woken until the head is back, and then with the next look
                logger.warning("what waits here could not be told: %s", error)
            await asyncio.sleep(INTERVAL_S)

    async def _tell(self, demand: Counter[str]) -> None:
        if demand:
            self._number += 1
            await asyncio.to_thread(publish_demand, self._router_id, self._number, demand)
            self._is_published = True
        elif self._is_published:
            await asyncio.to_thread(forget_demand, self._router_id)
            self._is_published = False
