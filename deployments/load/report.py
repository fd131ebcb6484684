"""A router's word on what engines do not see of the load, for the policy that decides how many replicas there are."""

import asyncio
import logging
from collections.abc import Callable

from ray.exceptions import RayError

from deployments.serve_internals import forget_load, publish_load
from router.load.report import RouterLoad

logger = logging.getLogger("enginehouse.router")

INTERVAL_S = 0.5
"""How often a router looks whether it has something to say, in seconds."""


class LoadReport:
    """
    Published while there is something to say, and taken back when there is not: a house that is at rest says nothing.

    Args:
        router_id: whose word it is.
        read: what it sees now.
    """

    def __init__(self, router_id: str, read: Callable[[], RouterLoad]) -> None:
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
                logger.warning("the load here could not be told: %s", error)
            await asyncio.sleep(INTERVAL_S)

    async def _tell(self, load: RouterLoad) -> None:
        if not load.is_nothing:
            self._number += 1
            await asyncio.to_thread(publish_load, self._router_id, self._number, load)
            self._is_published = True
        elif self._is_published:
            await asyncio.to_thread(forget_load, self._router_id)
            self._is_published = False
