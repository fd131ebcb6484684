"""What every store does, and what can go wrong with it."""

from dataclasses import dataclass
from typing import Final, Protocol

from cache.entry import Entry
from cache.keys import Key
from cache.leases import Leases

EVERYTHING: Final = ""
"""The group that every entry is in."""


class CacheError(Exception):
    """The root of all errors of the response cache."""


class StoreUnavailable(CacheError):
    """The store cannot be reached. Only `purge` says so: whoever purges must know whether it is done."""


class BadSecret(CacheError):
    """An environment variable that should hold a secret is not set, or holds too little."""


@dataclass(frozen=True, slots=True)
class StoreStats:
    """What a store holds, and what happened to it in this process since it was opened."""

    entries: int | None
    """Entries that are held; expired ones may count until their place is needed. None: the store did not say."""

    size_bytes: int | None
    """Bytes that they occupy. None: the store cannot say. Redis: of the whole server, others' data included."""

    hits: int
    misses: int
    """Look-ups without an entry, for whatever reason: also because the store failed or was too late."""

    evictions: int | None
    """Entries that were dropped, unexpired, to make room. Redis: by the whole server since it was started."""

    errors: int
    """Look-ups and writes that failed or were too late, and entries that were not genuine."""

    dropped_writes: int
    """Entries that were not written: too large, too many on their way, or the store was away."""

    is_available: bool
    """Whether the store is asked at all at the moment."""


class Store(Protocol):
    """
    Entries by key.

    Belongs to one event loop. Never raises for what the store does not know, cannot do or is too slow for: that is
    a miss.
    """

    @property
    def leases(self) -> Leases | None:
        """Who makes what is not there yet. None: nobody else has this store."""

    async def get(self, key: Key) -> Entry | None:
        """The unexpired entry, or None."""

    async def put(self, key: Key, entry: Entry) -> None:
        """
        Keep `entry` until it expires or its room is needed, in place of the one that was there.

        Returns before it is written. It may be dropped, and is when it is too large.
        """

    async def purge(self, group: str = EVERYTHING) -> int:
        """
        Forget every entry of one group, and say how many were erased.

        When it returns, no entry that was written before is served to anybody. One that is put later is, even if its
        answer is older.

        Raises:
            StoreUnavailable: the store could not be asked, or not to the end. Purging again is safe.
        """

    async def stats(self) -> StoreStats: ...

    async def close(self) -> None:
        """Let go of everything, after what was put has been written or given up. Afterwards every look-up is a miss."""
