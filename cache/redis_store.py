"""Entries in Redis, shared by all routers. Slow or gone, it is a miss."""

import random
import time
from collections.abc import Mapping
from typing import Any, Final

from cache.breaker import Breaker
from cache.entry import Entry, Envelope
from cache.keys import Key
from cache.redis_leases import RedisLeases
from cache.redis_link import Command, LinkFailed, RedisLink, read_secret
from cache.redis_lookups import RedisLookups
from cache.redis_names import RedisNames
from cache.redis_writes import MAX_TTL_S, RedisWrites, Write
from cache.store import EVERYTHING, BadSecret, StoreStats, StoreUnavailable
from configs.cache import CacheSettings, RedisStoreSettings

_ERASED_AT_ONCE: Final = 200
"""Entries of one shard that one command erases: Redis serves nobody else meanwhile."""


class RedisStore:
    """A `Store` in Redis. `cache/redis_names.py` says what is where."""

    def __init__(self, settings: CacheSettings, store: RedisStoreSettings, environment: Mapping[str, str]) -> None:
        """
        Connects later, at the first look-up.

        Raises:
            BadSecret: an environment variable that the settings name is not set, or the signing key is too short.
        """
        signing_key = read_secret(environment, store.signing_key_env).encode()
        try:
            self._envelope = Envelope(signing_key, settings.compress_above_bytes)
        except ValueError as error:
            raise BadSecret(f"the environment variable {store.signing_key_env} {error}") from error
        self._max_entry_bytes = settings.max_entry_bytes
        self._budget_s = store.lookup_budget_ms / 1000
        self._limit_s = store.connect_timeout_ms / 1000
        self._names = RedisNames(store.key_prefix)
        self._link = RedisLink(store, environment)
        self._breaker = Breaker(store.breaker, f"Redis ({_place(store)})", self._budget_s / 2, self._probe)
        self._lookups = RedisLookups(self._link, self._breaker, self._budget_s)
        self._writes = RedisWrites(self._link, self._breaker, store.max_pending_writes)
        self.leases = RedisLeases(self._link, self._breaker, self._names, self._envelope, self._writes, self._budget_s)
        self._hits = self._misses = self._errors = self._too_large = 0

    async def get(self, key: Key) -> Entry | None:
        entry = None
        if not self._breaker.is_open:
            values = await self._lookups.read(self._names.read(key))
            if values is None:
                self._errors += 1
            else:
                entry = self._open(key, values)
        if entry is None:
            self._misses += 1
        else:
            self._hits += 1
        return entry

    async def put(self, key: Key, entry: Entry) -> None:
        ttl_ms = round((min(entry.expires_at_s, time.time() + MAX_TTL_S) - time.time()) * 1000)
        if ttl_ms <= 0:
            return
        if entry.size_bytes > self._max_entry_bytes:
            self._too_large += 1
            return
        self._writes.add(Write(self._names.written(key), self._envelope.seal(key, entry), ttl_ms, key.digest.hex()))

    async def purge(self, group: str = EVERYTHING) -> int:
        try:
            await self._ask([("DEL", name) for name in self._names.generations(group)])
            erased, indexes = 0, self._names.indexes(group)
            while indexes:
                found = await self._ask([("ZRANGE", index, 0, _ERASED_AT_ONCE - 1) for index in indexes])
                members = {index: [d.decode() for d in digests] for index, digests in zip(indexes, found, strict=True)}
                erased += await self._erase({index: digests for index, digests in members.items() if digests})
                indexes = [index for index, digests in members.items() if len(digests) == _ERASED_AT_ONCE]
        except LinkFailed as error:
            raise StoreUnavailable(f"Redis did not purge to the end: {error}") from error
        return erased

    async def stats(self) -> StoreStats:
        entries = size_bytes = evictions = None
        try:
            now_ms = round(time.time() * 1000)
            counts = await self._ask([("ZCOUNT", index, now_ms, "+inf") for index in self._names.indexes(EVERYTHING)])
            servers = await self._link.info()
            entries = sum(counts)
            size_bytes = sum(server["used_memory"] for server in servers)
            evictions = sum(server["evicted_keys"] for server in servers)
        except (LinkFailed, KeyError):  # INFO needs a right of its own, and has gaps in what is only like Redis
            pass
        return StoreStats(
            entries=entries,
            size_bytes=size_bytes,
            hits=self._hits,
            misses=self._misses,
            evictions=evictions,
            errors=self._errors + self._writes.failures,
            dropped_writes=self._writes.dropped + self._too_large,
            is_available=not self._breaker.is_open,
        )

    async def close(self) -> None:
        await self._writes.close(self._limit_s)
        await self.leases.close()
        await self._breaker.close()
        await self._lookups.close()
        await self._link.close()

    def _open(self, key: Key, values: list[bytes | None]) -> Entry | None:
        *generations, value = values
        present = b"".join(generation for generation in generations if generation is not None)
        if value is None or None in generations or not value.startswith(present):
            return None
        entry = self._envelope.open(key, value[len(present) :])
        if entry is None:
            self._errors += 1
        elif entry.expires_at_s <= time.time():
            return None
        return entry

    async def _erase(self, members: dict[str, list[str]]) -> int:
        """Erase entries, and only then take them out of their indexes: whoever is interrupted finds them again."""
        if not members:
            return 0
        unlinked = await self._ask(
            [("UNLINK", *(self._names.entry_beside(index, d) for d in digests)) for index, digests in members.items()]
        )
        removals: list[Command] = []
        for index, digests in members.items():
            removals += [("ZREM", name, *digests) for name in {index, self._names.index_beside(index, EVERYTHING)}]
        await self._ask(removals)
        return sum(unlinked)

    async def _ask(self, commands: list[Command]) -> list[Any]:
        """Results, all of them.

        Raises:
            LinkFailed: Redis did not answer, or refused one.
        """
        results = await self._link.run(commands)
        for result in results:
            if isinstance(result, Exception):
                raise LinkFailed(f"{type(result).__name__}: {result}")
        return results

    async def _probe(self) -> None:
        """Whether Redis answers in time again, once it is connected. Of a cluster: any of its nodes."""
        commands: list[Command] = [("EXISTS", random.choice(self._names.generations(EVERYTHING)))]  # noqa: S311  no secret
        await self._ask(commands)
        asked_s = time.monotonic()
        await self._ask(commands)
        if time.monotonic() - asked_s > self._budget_s:
            raise LinkFailed("it is slow")


def _place(store: RedisStoreSettings) -> str:
    if store.sentinel is not None:
        return f"{store.sentinel.service} behind Sentinels"
    return store.address or f"cluster at {', '.join(store.cluster or ())}"
