"""Entries in this process: the least recently used make room for new ones."""

import time
from collections import OrderedDict
from typing import Final

from cache.entry import Entry
from cache.keys import Key
from cache.store import EVERYTHING, StoreStats

OVERHEAD_BYTES: Final = 800
"""
What an entry occupies beside its payload and metadata: objects, its places in the index and in two groups.

Source:
    tracemalloc on CPython 3.11, 20,000 and 60,000 entries of 120 bytes in two groups: 730 to 762 bytes each.
"""


class MemoryStore:
    """A `Store` of at most `max_bytes`, which knows only what this process has put into it."""

    leases: Final = None
    """Nobody else has this memory."""

    def __init__(self, max_bytes: int, max_entry_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._max_entry_bytes = min(max_entry_bytes, max_bytes - OVERHEAD_BYTES)
        self._held: OrderedDict[bytes, tuple[Key, Entry]] = OrderedDict()
        self._groups: dict[str, set[bytes]] = {}
        self._size_bytes = 0
        self._hits = self._misses = self._evictions = self._dropped_writes = 0
        self._is_closed = False

    async def get(self, key: Key) -> Entry | None:
        held = self._held.get(key.digest)
        if held is None:
            self._misses += 1
            return None
        entry = held[1]
        if entry.expires_at_s <= time.time():
            self._forget(key.digest)
            self._misses += 1
            return None
        self._held.move_to_end(key.digest)
        self._hits += 1
        return entry

    async def put(self, key: Key, entry: Entry) -> None:
        self._forget(key.digest)
        if self._is_closed or entry.size_bytes > self._max_entry_bytes:
            self._dropped_writes += 1
            return
        self._held[key.digest] = (key, entry)
        for group in key.groups:
            self._groups.setdefault(group, set()).add(key.digest)
        self._size_bytes += entry.size_bytes + OVERHEAD_BYTES
        while self._size_bytes > self._max_bytes:
            self._evict()

    async def purge(self, group: str = EVERYTHING) -> int:
        digests = list(self._held if group == EVERYTHING else self._groups.get(group, ()))
        for digest in digests:
            self._forget(digest)
        return len(digests)

    async def stats(self) -> StoreStats:
        return StoreStats(
            entries=len(self._held),
            size_bytes=self._size_bytes,
            hits=self._hits,
            misses=self._misses,
            evictions=self._evictions,
            errors=0,
            dropped_writes=self._dropped_writes,
            is_available=not self._is_closed,
        )

    async def close(self) -> None:
        self._is_closed = True
        await self.purge()

    def _evict(self) -> None:
        digest, (_, entry) = next(iter(self._held.items()))
        if entry.expires_at_s > time.time():
            self._evictions += 1
        self._forget(digest)

    def _forget(self, digest: bytes) -> None:
        held = self._held.pop(digest, None)
        if held is None:
            return
        key, entry = held
        self._size_bytes -= entry.size_bytes + OVERHEAD_BYTES
        for group in key.groups:
            members = self._groups[group]
            members.discard(digest)
            if not members:
                del self._groups[group]
