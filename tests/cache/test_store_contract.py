"""What both stores promise. Redis is a real one."""

import asyncio
import time

import pytest
from cached import OpenStore, eventually, found, keep, key
from redis_server import RedisServer

from cache.entry import Entry
from cache.opening import open_store
from cache.store import Store
from configs.cache import CacheSettings


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Store:
    """An empty one, which takes entries of up to 4096 bytes."""
    limits = {"max_entry_bytes": 4096, "compress_above_bytes": 1000}
    if request.param == "memory":
        return open_store(CacheSettings.model_validate(limits), {})
    server: RedisServer = request.getfixturevalue("redis_server")
    open_redis_store: OpenStore = request.getfixturevalue("open_redis_store")
    return open_redis_store(cache=limits, address=server.address)


async def test_nothing_is_found_at_first(store: Store) -> None:
    """A miss is None."""
    assert None is await store.get(key("a"))


@pytest.mark.parametrize("payload", [b"", b"short", b"long" * 1000, bytes(range(256)) * 15])
async def test_what_was_put_is_found(store: Store, payload: bytes) -> None:
    """All of it: payload, metadata, when it was made and for how long."""
    entry = await keep(store, key("a"), payload=payload)
    assert entry == await store.get(key("a"))


async def test_another_key_finds_nothing(store: Store) -> None:
    """Nor does the same name in another group."""
    await keep(store, key("a", "acme"))
    assert [True, False, False] == await found(store, key("a", "acme"), key("b", "acme"), key("a", "bolt"))


async def test_a_second_entry_replaces_the_first(store: Store) -> None:
    """The last one counts."""
    await keep(store, key("a"), payload=b"first")
    second = Entry(b"second", b"", round(time.time(), 3), 60)
    await store.put(key("a"), second)

    async def is_second() -> bool:
        return await store.get(key("a")) == second

    await eventually("the second is found", is_second)


async def test_an_entry_expires(store: Store) -> None:
    """It is served for as long as it said."""
    await keep(store, key("a"), ttl_s=2)

    async def is_gone() -> bool:
        return await store.get(key("a")) is None

    await eventually("it expires", is_gone)


async def test_an_entry_that_has_expired_is_not_kept(store: Store) -> None:
    """However it came to be put."""
    await store.put(key("a"), Entry(b"old", b"", time.time() - 100, 50))
    await keep(store, key("b"))
    assert None is await store.get(key("a"))


async def test_an_entry_that_is_too_large_is_dropped(store: Store) -> None:
    """And counted."""
    await store.put(key("a"), Entry.now(b"x" * 4097, 60))
    await keep(store, key("b"))
    assert (None, 1) == (await store.get(key("a")), (await store.stats()).dropped_writes)


async def test_a_purge_forgets_one_group(store: Store) -> None:
    """Whatever else its entries belong to, and nothing else."""
    inside = [key(number, "model", "acme") for number in range(5)]
    outside = [key(number, "model", "bolt") for number in range(3)]
    await keep(store, *inside, *outside)
    assert 5 == await store.purge("acme")
    assert [False] * 5 + [True] * 3 == await found(store, *inside, *outside)


async def test_a_purge_of_everything_forgets_everything(store: Store) -> None:
    """Entries without a group too."""
    keys = [key("a", "acme"), key("b", "bolt"), key("c")]
    await keep(store, *keys)
    assert 3 == await store.purge()
    assert [False] * 3 == await found(store, *keys)


async def test_a_second_purge_finds_nothing(store: Store) -> None:
    """What was erased is not counted again, by this group or another."""
    await keep(store, key("a", "model", "acme"))
    assert [1, 0, 0, 0] == [await store.purge(group) for group in ("acme", "acme", "model", "nobody")]


async def test_a_purged_group_takes_new_entries(store: Store) -> None:
    """A purge is not a ban."""
    await keep(store, key("a", "acme"))
    await store.purge("acme")
    await keep(store, key("a", "acme"))


async def test_the_statistics_count(store: Store) -> None:
    """Hits and misses of this process, entries of the store."""
    await keep(store, key("a"), key("b"))
    before = await store.stats()
    await found(store, key("a"), key("c"), key("a"))
    after = await store.stats()
    assert (2, 1, 2) == (after.hits - before.hits, after.misses - before.misses, after.entries)
    assert (0, 0, True, True) == (after.errors, after.evictions, after.is_available, (after.size_bytes or 0) > 0)


async def test_many_may_ask_at_once(store: Store) -> None:
    """Each gets what belongs to its key."""
    keys = [key(number) for number in range(200)]
    await asyncio.gather(*(keep(store, place, payload=place.digest) for place in keys))
    entries = await asyncio.gather(*(store.get(place) for place in keys))
    assert [place.digest for place in keys] == [entry and entry.payload for entry in entries]


async def test_a_closed_store_misses(store: Store) -> None:
    """Closing twice is fine, and so are late callers."""
    await keep(store, key("a"))
    await store.close()
    await store.put(key("a"), Entry.now(b"late", 60))
    assert None is await store.get(key("a"))
    await store.close()
