"""A Redis that is slow or gone, under load: misses, no exceptions, and one line in the log for each outage."""

import asyncio
import logging
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from cached import OpenStore, eventually, keep, key
from redis_server import RedisServer

from cache.entry import Entry
from cache.store import Store, StoreUnavailable

IN_HASTE = {
    "lookup_budget_ms": 50,
    "connect_timeout_ms": 500,
    "breaker": {"max_failures": 3, "first_retry_ms": 20, "max_retry_ms": 50},
}
CALLERS = 20


@pytest.fixture
def store(own_redis: RedisServer, open_redis_store: OpenStore) -> Store:
    return open_redis_store(address=own_redis.address, **IN_HASTE)


@asynccontextmanager
async def load(store: Store) -> AsyncIterator[None]:
    """Twenty callers that look up and put all the time. The first exception that one of them sees fails the test."""
    is_over = False

    async def call(number: int) -> None:
        while not is_over:
            place = key(number, "loaded")
            entry = await store.get(place)
            assert entry is None or entry.payload == place.digest
            await store.put(place, Entry.now(place.digest, 60))
            await asyncio.sleep(0.001)  # as requests would come, not a wait for anything

    callers = [asyncio.create_task(call(number)) for number in range(CALLERS)]
    try:
        yield
    finally:
        is_over = True
        await asyncio.gather(*callers)


async def until(store: Store, *, is_available: bool) -> None:
    async def look() -> bool:
        return (await store.stats()).is_available == is_available

    await eventually(f"is_available is {is_available}", look)


async def until_hit(store: Store) -> None:
    hits = (await store.stats()).hits

    async def look() -> bool:
        return (await store.stats()).hits > hits + CALLERS

    await eventually("look-ups hit", look)


def words(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says, whoever says it, shortened to away or back."""
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    return ["away" if " is away " in line else "back" if " is back " in line else line for line in lines]


async def test_a_killed_redis_is_missed_until_it_is_back(
    store: Store, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Twice, and each time the log says so once."""
    async with load(store):
        for _ in range(2):
            await until_hit(store)
            own_redis.kill()
            await until(store, is_available=False)
            own_redis.start()
            await until(store, is_available=True)
        await until_hit(store)
    assert ["away", "back"] * 2 == words(caplog)


async def test_a_stopped_redis_is_missed_until_it_goes_on(
    store: Store, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Its connections stay open and nothing comes: only the budget tells."""
    async with load(store):
        await until_hit(store)
        own_redis.signal(signal.SIGSTOP)
        await until(store, is_available=False)
        own_redis.signal(signal.SIGCONT)
        await until(store, is_available=True)
        await until_hit(store)
    assert ["away", "back"] == words(caplog)


async def test_a_redis_that_sleeps_is_missed_until_it_wakes(
    store: Store, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """What it answers late, all at once, is nobody's answer: `load` compares each with its key."""
    async with load(store):
        await until_hit(store)
        sleeper = threading.Thread(target=own_redis.ask, args=("DEBUG", "SLEEP", "1.5"))
        sleeper.start()
        await until(store, is_available=False)
        await until(store, is_available=True)
        sleeper.join()
        await until_hit(store)
    assert ["away", "back"] == words(caplog)


async def test_a_late_answer_is_not_taken_for_the_next(store: Store, own_redis: RedisServer) -> None:
    """A look-up that gave up leaves no answer behind for the one after it."""
    await keep(store, key("a"), payload=b"a")
    await keep(store, key("b"), payload=b"b")
    own_redis.signal(signal.SIGSTOP)
    late = await store.get(key("a"))
    own_redis.signal(signal.SIGCONT)
    entry = await eventually("Redis answers again", lambda: store.get(key("b")))
    assert (None, b"b") == (late, entry.payload)


async def test_a_look_up_that_is_cancelled_leaves_nothing_behind(store: Store, own_redis: RedisServer) -> None:
    """Its client is gone; the others go on."""
    await keep(store, key("a"), payload=b"a")
    await keep(store, key("b"), payload=b"b")
    own_redis.signal(signal.SIGSTOP)
    gone = asyncio.create_task(store.get(key("a")))
    await asyncio.sleep(0)  # lets it begin
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    own_redis.signal(signal.SIGCONT)
    entry = await eventually("Redis answers", lambda: store.get(key("b")))
    assert (True, b"b") == (gone.cancelled(), entry.payload)


async def test_a_redis_that_was_never_there_is_missed(
    open_redis_store: OpenStore, tmp_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A router starts without it."""
    store = open_redis_store(address=f"{tmp_path}/nobody", **IN_HASTE)
    async with load(store):
        await until(store, is_available=False)
    assert ["away"] == words(caplog)


async def test_a_lone_failure_is_no_outage(
    store: Store, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A hundred look-ups that fail at one moment count as one failure."""
    await keep(store, key("a"))
    own_redis.signal(signal.SIGSTOP)
    entries = await asyncio.gather(*(store.get(key("a")) for _ in range(100)))
    own_redis.signal(signal.SIGCONT)
    await eventually("Redis answers", lambda: store.get(key("a")))
    assert ([None] * 100, []) == (entries, words(caplog))


async def test_a_purge_says_that_it_was_not_done(store: Store, own_redis: RedisServer) -> None:
    """Whoever purges must know."""
    await keep(store, key("a", "acme"))
    own_redis.kill()
    with pytest.raises(StoreUnavailable, match="Redis did not purge to the end"):
        await store.purge("acme")


async def test_the_statistics_say_what_they_do_not_know(store: Store, own_redis: RedisServer) -> None:
    """Counting goes on without Redis."""
    await keep(store, key("a"))
    own_redis.kill()
    await store.get(key("a"))
    stats = await store.stats()
    assert (None, None, None, True) == (stats.entries, stats.size_bytes, stats.evictions, stats.errors > 0)


async def test_a_full_redis_still_answers(
    store: Store, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It takes nothing new, which the log says once, and once more when it does again."""
    caplog.set_level(logging.WARNING, "enginehouse.cache")
    await keep(store, key("a"))
    own_redis.ask("CONFIG", "SET", "maxmemory", "1")

    async def refuses(times: int) -> bool:
        await store.put(key("b"), Entry.now(b"no", 60))
        return (await store.stats()).errors >= times

    await eventually("it refuses", lambda: refuses(3))
    was_found = await store.get(key("a")) is not None
    own_redis.ask("CONFIG", "SET", "maxmemory", "0")
    await keep(store, key("c"))
    expected = ["Redis takes no new entries", "Redis takes new entries again"]
    assert (True, expected) == (was_found, [line.split(" (")[0] for line in words(caplog)])


async def test_no_more_than_a_number_of_entries_are_on_their_way(
    own_redis: RedisServer, open_redis_store: OpenStore
) -> None:
    """Behind a Redis that hangs, further ones are dropped and counted, and no caller waits."""
    store = open_redis_store(address=own_redis.address, max_pending_writes=10, connect_timeout_ms=500)
    await keep(store, key("a"))
    own_redis.signal(signal.SIGSTOP)
    for number in range(25):
        await store.put(key(number), Entry.now(b"x", 60))
    dropped = (await store.stats()).dropped_writes
    own_redis.signal(signal.SIGCONT)
    assert 15 == dropped
