"""Waiting for what another task or the kernel will do."""

import asyncio
from collections.abc import Callable

_DEADLINE_S = 60.0
_POLL_S = 0.002


async def eventually(condition: Callable[[], object]) -> None:
    """Wait until `condition()` is true, with a deadline that only a broken program reaches."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _DEADLINE_S
    while not condition():
        assert loop.time() < deadline, "the condition was never met"
        await asyncio.sleep(_POLL_S)
