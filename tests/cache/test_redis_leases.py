"""Leases in Redis: one holder, whom the others learn of, and who can be lost."""

import pytest
from cached import OpenStore, eventually, found, key
from redis_server import RedisServer

from cache.entry import Entry, Envelope
from cache.leases import Holder, Lease, Leases
from cache.redis_names import RedisNames

NAME = RedisNames("enginehouse:").lease(key("a"), "whole")


def leases_of(server: RedisServer, open_redis_store: OpenStore, **settings: object) -> Leases:
    leases = open_redis_store(address=server.address, **settings).leases
    assert leases is not None
    return leases


@pytest.fixture
def mine(redis_server: RedisServer, open_redis_store: OpenStore) -> Leases:
    return leases_of(redis_server, open_redis_store)


@pytest.fixture
def theirs(redis_server: RedisServer, open_redis_store: OpenStore) -> Leases:
    return leases_of(redis_server, open_redis_store)


async def claimed(leases: Leases, note: bytes = b"mine", variant: str = "whole") -> Lease:
    lease = await leases.claim(key("a"), variant, note)
    assert isinstance(lease, Lease)
    return lease


async def holder(leases: Leases) -> Holder:
    found = await leases.claim(key("a"), "whole", b"theirs")
    assert isinstance(found, Holder)
    return found


async def test_the_second_learns_of_the_first(mine: Leases, theirs: Leases) -> None:
    """By what the first one says of himself."""
    await claimed(mine, b"at home")
    assert b"at home" == (await holder(theirs)).note


async def test_variants_and_keys_have_leases_of_their_own(mine: Leases, theirs: Leases) -> None:
    """A stream is not a whole answer."""
    await claimed(mine)
    assert isinstance(await theirs.claim(key("a"), "stream", b"theirs"), Lease)
    assert isinstance(await theirs.claim(key("b"), "whole", b"theirs"), Lease)


async def test_a_holder_who_is_gone_is_replaced_once(mine: Leases, theirs: Leases) -> None:
    """The first who notices takes over; the next, who still thinks of the old one, learns of the new one."""
    await claimed(mine)
    gone = await holder(theirs)
    taken = await theirs.claim(key("a"), "whole", b"the new one", gone)
    late = await mine.claim(key("a"), "whole", b"late", gone)
    assert (True, True) == (isinstance(taken, Lease), isinstance(late, Holder))
    assert isinstance(late, Holder)
    assert b"the new one" == late.note


async def test_a_released_lease_is_free(mine: Leases, theirs: Leases) -> None:
    """Soon."""
    mine.release(await claimed(mine))

    async def is_free() -> bool:
        return isinstance(await theirs.claim(key("a"), "whole", b"theirs"), Lease)

    await eventually("the lease is free", is_free)


async def test_only_the_holder_releases(mine: Leases, theirs: Leases, redis_server: RedisServer) -> None:
    """Whoever lost it in the meantime does not end the lease of his successor."""
    lost = await claimed(mine)
    taken = await theirs.claim(key("a"), "whole", b"theirs", await holder(theirs))
    mine.release(lost)
    mine.release(await claimed(mine, variant="other"))  # behind the one above

    async def other_is_released() -> bool:
        return not redis_server.ask("EXISTS", RedisNames("enginehouse:").lease(key("a"), "other"))

    await eventually("both were tried", other_is_released)
    assert isinstance(taken, Lease)
    assert taken.value == redis_server.ask("GET", NAME)


async def test_a_lease_is_not_free_before_its_answer_is_there(
    redis_server: RedisServer, open_redis_store: OpenStore
) -> None:
    """Whoever finds it free finds the answer, too."""
    store = open_redis_store(address=redis_server.address)
    other = open_redis_store(address=redis_server.address)
    assert store.leases is not None
    assert other.leases is not None
    for number in range(50):
        lease = await store.leases.claim(key(number), "whole", b"mine")
        assert isinstance(lease, Lease)
        await store.put(key(number), Entry.now(b"answer", 60))
        store.leases.release(lease)
        claim = await other.leases.claim(key(number), "whole", b"theirs")
        while isinstance(claim, Holder):
            claim = await other.leases.claim(key(number), "whole", b"theirs")
        assert [True] == await found(other, key(number))


async def test_who_gets_a_lease_learns_whether_there_is_an_answer(
    redis_server: RedisServer, open_redis_store: OpenStore
) -> None:
    """It may have come after he looked for it."""
    store = open_redis_store(address=redis_server.address)
    assert store.leases is not None
    before = await store.leases.claim(key("a"), "whole", b"mine")
    await store.put(key("a"), Entry.now(b"answer", 60))
    assert [True] == await found(store, key("a"))
    after = await store.leases.claim(key("a"), "stream", b"mine")
    assert [False, True] == [isinstance(lease, Lease) and lease.has_entry for lease in (before, after)]


async def test_an_unheld_lease_ends_and_a_held_one_does_not(
    mine: Leases, theirs: Leases, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A router that dies keeps nothing."""
    monkeypatch.setattr("cache.redis_leases._LEASE_MS", 150)
    await claimed(mine, variant="unheld")
    monkeypatch.setattr("cache.redis_leases._LEASE_MS", 60_000)
    monkeypatch.setattr("cache.redis_leases.LEASE_S", 0.03)
    mine.hold(await claimed(mine))
    unheld = RedisNames("enginehouse:").lease(key("a"), "unheld")

    async def has_ended() -> bool:
        return not redis_server.ask("EXISTS", unheld)

    async def is_renewed() -> bool:
        return int(redis_server.ask("PTTL", NAME)) > 30_000

    await eventually("the one that nobody holds ends", has_ended)
    for _ in range(3):
        redis_server.ask("PEXPIRE", NAME, "20000")
        await eventually("the other is renewed", is_renewed)
    assert b"mine" == (await holder(theirs)).note


async def test_a_planted_lease_is_nobodys(mine: Leases, redis_server: RedisServer) -> None:
    """Without the secret nobody can send the house's routers to an address of his own."""
    planted = Envelope(b"not the secret of the house", 0).seal(key("a"), Entry.now(b"evil", 60))
    redis_server.ask("SET", NAME, planted)
    assert (await claimed(mine)).value == redis_server.ask("GET", NAME)


async def test_an_entry_is_no_lease(redis_server: RedisServer, open_redis_store: OpenStore) -> None:
    """Moved from one place to the other within Redis, neither is taken for the other."""
    store = open_redis_store(address=redis_server.address)
    assert store.leases is not None
    await store.put(key("a"), Entry.now(b"an answer", 60))
    assert [True] == await found(store, key("a"))
    stored = redis_server.ask("GET", RedisNames("enginehouse:").read(key("a"))[-1])
    redis_server.ask("SET", NAME, stored[-len(stored) + 8 :])  # without its group's generation
    assert isinstance(await store.leases.claim(key("a"), "whole", b"mine"), Lease)


async def test_without_redis_nobody_waits(own_redis: RedisServer, open_redis_store: OpenStore) -> None:
    """Then each makes its own answer."""
    leases = leases_of(own_redis, open_redis_store, lookup_budget_ms=200)
    lease = await leases.claim(key("a"), "whole", b"mine")
    assert isinstance(lease, Lease)
    leases.hold(lease)
    own_redis.kill()
    assert [None] * 3 == [await leases.claim(key("a"), "whole", b"mine") for _ in range(3)]
    leases.release(lease)
