"""Whether somebody waits for a replica that starts, as an engine that takes turns must know before it takes one."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from ray.exceptions import RayError

from deployments.serve_internals import read_board
from router.load.report import RouterLoad

INTERVAL_S = 0.5
"""How often the routers' words are read, in seconds: as often as they are repeated."""


async def until_asked_for(application: str) -> None:
    """
    Returns once requests wait at a router for a replica of the application, or went elsewhere for want of one.

    A word counts when it was repeated since the look before: a router that was killed leaves its last one behind. While
    Ray's head does not answer, nobody is known to ask.
    """
    numbers: dict[str, int] | None = None
    while True:
        with suppress(RayError):
            words = (await asyncio.to_thread(read_board, ())).routers
            if numbers is not None and _is_wanted(application, words, numbers):
                return
            numbers = {router: number for router, (number, _) in words.items()}
        await asyncio.sleep(INTERVAL_S)


def _is_wanted(application: str, words: Mapping[str, tuple[int, RouterLoad]], before: Mapping[str, int]) -> bool:
    return any(
        load.demand.get(application) and before.get(router) != number for router, (number, load) in words.items()
    )
