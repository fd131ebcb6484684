"""Writes to Redis: in the background, in order, and no more of them than memory allows."""

import asyncio
import hashlib
import logging
import os
from collections import deque
from typing import Any, Final, NamedTuple, Protocol

from redis.exceptions import NoScriptError, RedisError

from cache.breaker import Breaker
from cache.redis_link import Command, LinkFailed, RedisLink

logger = logging.getLogger("enginehouse.cache")

MAX_TTL_S: Final = 30 * 86_400.0
"""Longest life of an entry in Redis, in seconds. A group's generation outlives it, being renewed by every write."""

_GROUP_TTL_MS: Final = 2 * 30 * 86_400_000

_MAX_PENDING_BYTES: Final = 67_108_864
"""Entries on their way, in bytes: beside their number, because they may be large."""

_BATCH: Final = 32

_WRITE: Final = """
-- KEYS: the entry; then each group's generation and index
-- ARGV: envelope, life of the entry, life of the groups (ms), a new generation, the entry's digest
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local value = {}
for at = 2, #KEYS, 2 do
  local generation = redis.call('GET', KEYS[at])
  if generation then
    redis.call('PEXPIRE', KEYS[at], ARGV[3])
  else
    generation = ARGV[4]
    redis.call('SET', KEYS[at], generation, 'PX', ARGV[3])
  end
  value[#value + 1] = generation
  redis.call('ZREMRANGEBYSCORE', KEYS[at + 1], '-inf', now)
  redis.call('ZADD', KEYS[at + 1], now + ARGV[2], ARGV[5])
  redis.call('PEXPIRE', KEYS[at + 1], ARGV[3])
end
value[#value + 1] = ARGV[1]
redis.call('SET', KEYS[1], table.concat(value), 'PX', ARGV[2])
"""

_WRITE_SHA: Final = hashlib.sha1(_WRITE.encode(), usedforsecurity=False).hexdigest()


class QueuedWrite(Protocol):
    @property
    def size_bytes(self) -> int: ...

    def command(self, *, with_script: bool) -> Command:
        """With the text of its script, or by the name that Redis may know it by."""


class Write(NamedTuple):
    names: list[str]
    """As `RedisNames.written` has them."""

    envelope: bytes
    ttl_ms: int
    digest: str

    @property
    def size_bytes(self) -> int:
        return len(self.envelope)

    def command(self, *, with_script: bool) -> Command:
        head: Command = ("EVAL", _WRITE) if with_script else ("EVALSHA", _WRITE_SHA)
        arguments = (self.envelope, self.ttl_ms, _GROUP_TTL_MS, os.urandom(8), self.digest)
        return (*head, len(self.names), *self.names, *arguments)


class RedisWrites:
    """A queue before Redis, emptied by a task that exists only while there is something in it."""

    def __init__(self, link: RedisLink, breaker: Breaker, max_pending: int) -> None:
        self.failures = 0
        self.dropped = 0
        self._link = link
        self._breaker = breaker
        self._max_pending = max_pending
        self._pending: deque[QueuedWrite] = deque()
        self._pending_bytes = 0
        self._in_flight = 0
        self._task: asyncio.Task[None] | None = None
        self._is_refused = False

    def add(self, write: QueuedWrite) -> None:
        """Write it soon; or drop it, when the store is away or too many are before it."""
        size_bytes = write.size_bytes
        is_full = len(self._pending) + self._in_flight >= self._max_pending
        if self._breaker.is_open or is_full or self._pending_bytes + size_bytes > _MAX_PENDING_BYTES:
            self.dropped += 1
            return
        self._pending.append(write)
        self._pending_bytes += size_bytes
        if self._task is None:
            self._task = asyncio.create_task(self._empty())

    async def close(self, within_s: float) -> None:
        """Wait `within_s` seconds for what is on its way, then give it up."""
        if self._task is None:
            return
        _, unfinished = await asyncio.wait([self._task], timeout=within_s)
        for task in unfinished:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _empty(self) -> None:
        try:
            while self._pending:
                if self._breaker.is_open:
                    self.dropped += len(self._pending)
                    self._pending.clear()
                    self._pending_bytes = 0
                    return
                batch = [self._pending.popleft() for _ in range(min(_BATCH, len(self._pending)))]
                self._in_flight = len(batch)
                await self._send(batch)
                self._in_flight = 0
                self._pending_bytes -= sum(write.size_bytes for write in batch)
        finally:
            self._task = None

    async def _send(self, batch: list[QueuedWrite]) -> None:
        try:
            results = await self._link.run([write.command(with_script=False) for write in batch])
            unknown = [write for write, result in zip(batch, results, strict=True) if isinstance(result, NoScriptError)]
            if unknown:  # a new server, or one that was restarted: from now on it knows the script
                results = [result for result in results if not isinstance(result, NoScriptError)]
                results += await self._link.run([write.command(with_script=True) for write in unknown])
        except LinkFailed as error:
            self.failures += len(batch)
            self._breaker.failed(str(error))
            return
        self._look_at(results)

    def _look_at(self, results: list[Any]) -> None:
        """Count what was refused, and say it once: a full or read-only Redis still answers look-ups."""
        refusals = [result for result in results if isinstance(result, RedisError)]
        self.failures += len(refusals)
        if refusals and not self._is_refused:
            logger.warning("Redis takes no new entries (%s: %s)", type(refusals[0]).__name__, refusals[0])
        elif not refusals and self._is_refused:
            logger.warning("Redis takes new entries again")
        self._is_refused = bool(refusals)
