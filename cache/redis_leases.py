"""Leases in Redis."""

import asyncio
import hashlib
from typing import Any, Final, NamedTuple

from redis.exceptions import RedisError

from cache.breaker import Breaker
from cache.entry import Entry, Envelope
from cache.keys import DIGEST_BYTES, Key
from cache.leases import Holder, Lease
from cache.redis_link import Command, LinkFailed, RedisLink
from cache.redis_names import RedisNames
from cache.redis_writes import RedisWrites

LEASE_S: Final = 5.0
"""Life of a lease that nobody renews, in seconds. Whoever follows a holder notices his death by the connection to
him; this is only for those who cannot know him any more."""

_CLAIM: Final = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[3] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.call('EXISTS', KEYS[2]) == 1 and 'entry' or ''
"""
_RENEW: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end"
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"
_HAS_ENTRY: Final = b"entry"
_LEASE_MS: Final = round(LEASE_S * 1000)


class _Release(NamedTuple):
    """In the queue of writes, behind the answer that the lease was for."""

    lease: Lease

    @property
    def size_bytes(self) -> int:
        return len(self.lease.value)

    def command(self, *, with_script: bool) -> Command:  # noqa: ARG002 - it is short enough to be sent each time
        return ("EVAL", _RELEASE, 1, self.lease.name, self.lease.value)


class RedisLeases:
    """`Leases` beside the entries of a `RedisStore`. Nobody waits for Redis longer than for a look-up."""

    def __init__(
        self,
        link: RedisLink,
        breaker: Breaker,
        names: RedisNames,
        envelope: Envelope,
        writes: RedisWrites,
        budget_s: float,
    ) -> None:  # fmt: skip
        self._link = link
        self._breaker = breaker
        self._names = names
        self._envelope = envelope
        self._writes = writes
        self._budget_s = budget_s
        self._held: set[Lease] = set()
        self._asking: set[asyncio.Task[Any]] = set()
        self._renewing: asyncio.Task[None] | None = None

    async def claim(
        self, key: Key, variant: str, note: bytes, instead_of: Holder | None = None
    ) -> Lease | Holder | None:
        signed_key = _signed_key(key, variant)
        names = self._names.lease(key, variant), self._names.read(key)[-1]
        ours = self._envelope.seal(signed_key, Entry.now(note, LEASE_S))
        gone = instead_of.value if instead_of is not None else b""
        for _ in range(2):
            value = await self._claim(names, ours, gone)
            if value is None:
                return None
            if value in (b"", _HAS_ENTRY):
                return Lease(names[0], ours, has_entry=bool(value))
            sealed = self._envelope.open(signed_key, value)
            if sealed is not None:
                return Holder(sealed.payload, value)
            gone = value  # nobody's whom we know
        return None

    def hold(self, lease: Lease) -> None:
        self._held.add(lease)
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())

    def release(self, lease: Lease) -> None:
        self._held.discard(lease)
        self._writes.add(_Release(lease))

    async def close(self) -> None:
        tasks = [*self._asking, *([] if self._renewing is None else [self._renewing])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _claim(self, names: tuple[str, str], ours: bytes, gone: bytes) -> bytes | None:
        """The holder's value; empty or `_HAS_ENTRY` where it is ours now; None where Redis failed or was too late."""
        if self._breaker.is_open:
            return None
        asking = asyncio.create_task(self._link.run([("EVAL", _CLAIM, 2, *names, ours, _LEASE_MS, gone)]))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        # not cancelled when it is late: that would cost the connection. What it then gets ends by itself
        done, _ = await asyncio.wait([asking], timeout=self._budget_s)
        if not done:
            self._breaker.failed(f"no answer within {self._budget_s * 1000:g} ms")
            return None
        try:
            (value,) = asking.result()
        except LinkFailed as error:
            self._breaker.failed(str(error))
            return None
        if isinstance(value, RedisError):
            self._breaker.failed(f"{type(value).__name__}: {value}")
            return None
        self._breaker.succeeded()
        return bytes(value)

    async def _renew(self) -> None:
        try:
            while self._held:
                await asyncio.sleep(LEASE_S / 3)
                if self._held and not self._breaker.is_open:
                    await self._renew_once()
        finally:
            self._renewing = None

    async def _renew_once(self) -> None:
        try:
            await self._link.run([("EVAL", _RENEW, 1, lease.name, lease.value, _LEASE_MS) for lease in self._held])
        except LinkFailed as error:
            self._breaker.failed(str(error))


def _signed_key(key: Key, variant: str) -> Key:
    """Another than the entry's, so that neither can stand in the other's place."""
    return Key(hashlib.blake2b(b"lease " + variant.encode() + b" " + key.digest, digest_size=DIGEST_BYTES).digest(), ())
