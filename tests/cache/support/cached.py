"""Asking a store what it holds, in the words of the tests."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis_server import DEADLINE_S

from cache.entry import Entry
from cache.keys import Key, make_key
from cache.store import Store

T = TypeVar("T")

OpenStore = Callable[..., Store]
"""What the fixture `open_redis_store` is."""


def key(name: object, *groups: str) -> Key:
    return make_key({"name": str(name)}, groups)


async def eventually(what: str, look: Callable[[], Awaitable[T | None]]) -> T:
    """The first true result of `look`, which fails the test when there is none in time."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := await look()):
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_S:g} s"
        await asyncio.sleep(0.005)
    return found


async def keep(store: Store, *keys: Key, payload: bytes = b"yes", ttl_s: float = 60) -> Entry:
    """Put one entry under all keys, and wait until each of them is found."""
    entry = Entry(payload, b"text", round(time.time(), 3), ttl_s)
    for place in keys:
        await store.put(place, entry)
    for place in keys:
        await eventually("it is written", lambda place=place: store.get(place))  # type: ignore[misc]
    return entry


async def found(store: Store, *keys: Key) -> list[bool]:
    return [await store.get(place) is not None for place in keys]
