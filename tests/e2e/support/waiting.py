"""Waiting for what other processes will do."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_S = 180.0
"""Only a broken program, or a machine without time, reaches it."""
_POLL_S = 0.05


def wait_for(what: str, look: Callable[[], T | None], deadline_s: float = DEADLINE_S) -> T:
    """The first true result of `look`, which fails the test when there is none in time."""
    deadline = time.monotonic() + deadline_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: not within {deadline_s:g} s"
        time.sleep(_POLL_S)
    return found


async def eventually(what: str, look: Callable[[], T | None], deadline_s: float = DEADLINE_S) -> T:
    """As `wait_for`, while the test's own clients go on."""
    deadline = time.monotonic() + deadline_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: not within {deadline_s:g} s"
        await asyncio.sleep(_POLL_S)
    return found
