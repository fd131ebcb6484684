import tracemalloc

import pytest
from cached import found, key

from cache.entry import Entry
from cache.memory_store import OVERHEAD_BYTES, MemoryStore


def entry(size_bytes: int, ttl_s: float = 60) -> Entry:
    return Entry.now(b"x" * size_bytes, ttl_s)


@pytest.fixture
def store() -> MemoryStore:
    """It has room for three entries of 200 bytes."""
    return MemoryStore(max_bytes=3 * (OVERHEAD_BYTES + 200), max_entry_bytes=1_000_000)


async def fill(store: MemoryStore, *names: str) -> None:
    for name in names:
        await store.put(key(name, "acme"), entry(200))


async def test_the_oldest_entry_makes_room(store: MemoryStore) -> None:
    """One goes, no more."""
    await fill(store, "a", "b", "c", "d")
    assert [False, True, True, True] == await found(store, *(key(name, "acme") for name in "abcd"))


async def test_an_entry_that_was_used_stays(store: MemoryStore) -> None:
    """The one used longest ago goes, not the one put longest ago."""
    await fill(store, "a", "b", "c")
    await store.get(key("a", "acme"))
    await fill(store, "d")
    assert [True, False, True, True] == await found(store, *(key(name, "acme") for name in "abcd"))


async def test_a_large_entry_takes_the_room_of_several(store: MemoryStore) -> None:
    """Bytes are counted, not entries."""
    await fill(store, "a", "b", "c")
    await store.put(key("large"), entry(OVERHEAD_BYTES + 400))
    assert [False, False, True, True] == await found(store, *(key(name, "acme") for name in "abc"), key("large"))


async def test_an_entry_that_never_fits_empties_nothing(store: MemoryStore) -> None:
    """It is dropped instead."""
    await fill(store, "a", "b", "c")
    await store.put(key("large"), entry(10_000))
    stats = await store.stats()
    assert (3, 1, 0) == (stats.entries, stats.dropped_writes, stats.evictions)


async def test_a_replaced_entry_is_counted_once(store: MemoryStore) -> None:
    """In bytes too."""
    await fill(store, "a", "a", "a", "a")
    stats = await store.stats()
    assert (1, OVERHEAD_BYTES + 200, 0) == (stats.entries, stats.size_bytes, stats.evictions)


async def test_a_replacement_that_is_too_large_leaves_nothing(store: MemoryStore) -> None:
    """The old answer is not the answer any more."""
    await fill(store, "a")
    await store.put(key("a", "acme"), entry(10_000))
    assert None is await store.get(key("a", "acme"))


async def test_only_unexpired_entries_count_as_evicted(store: MemoryStore) -> None:
    """What had expired anyway was no loss."""
    await store.put(key("old"), entry(200, ttl_s=0))
    await fill(store, "a", "b", "c", "d")
    stats = await store.stats()
    assert (3, 1) == (stats.entries, stats.evictions)


async def test_an_empty_store_holds_nothing_at_all(store: MemoryStore) -> None:
    """Groups that have no entries any more are forgotten too: tenants come and go."""
    for number in range(1000):
        await store.put(key(number, f"tenant {number}"), entry(200))
    await store.purge()
    assert ({}, 0) == (store._groups, store._size_bytes)


async def test_entries_occupy_what_is_counted_for_them() -> None:
    """Memory sizing can be relied on, to a fifth."""
    store = MemoryStore(max_bytes=10**9, max_entry_bytes=1000)
    tracemalloc.start()
    try:
        for number in range(5000):
            await store.put(key(number, "model", "acme"), entry(200))
        occupied = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert 1.0 == pytest.approx(occupied / ((await store.stats()).size_bytes or 1), abs=0.2)
