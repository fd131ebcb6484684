"""What only a store in Redis can get wrong: who wrote an entry, what a purge leaves, and how the place is reached."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cached import OpenStore, eventually, found, keep, key
from redis_server import RedisServer, free_port

from cache.entry import Entry, Envelope
from cache.keys import Key
from cache.opening import open_store
from cache.redis_names import SHARDS, RedisNames
from cache.store import BadSecret, Store
from configs.cache import CacheSettings

NAMES = RedisNames("enginehouse:")


@pytest.fixture
def store(redis_server: RedisServer, open_redis_store: OpenStore) -> Store:
    return open_redis_store(address=redis_server.address)


def in_one_shard(count: int, *groups: str) -> list[Key]:
    """Keys that Redis keeps side by side."""
    keys = (key(number, *groups) for number in itertools.count())
    return list(itertools.islice((place for place in keys if place.digest[0] % SHARDS == 0), count))


def stored_under(server: RedisServer, name: str) -> bytes:
    value: bytes = server.ask("GET", name)
    return value


async def test_routers_share_entries(store: Store, redis_server: RedisServer, open_redis_store: OpenStore) -> None:
    """What one has put another finds."""
    await keep(store, key("a"))
    assert [True] == await found(open_redis_store(address=redis_server.address), key("a"))


@pytest.mark.parametrize(
    "other", [{"key_prefix": "another:"}, {"database": 1}, {"secrets": {"CACHE_KEY": "a secret of another house"}}]
)
async def test_houses_do_not_share_entries(
    store: Store, redis_server: RedisServer, open_redis_store: OpenStore, other: dict[str, object]
) -> None:
    """Another prefix, another database or another secret: another house."""
    await keep(store, key("a"))
    assert [False] == await found(open_redis_store(address=redis_server.address, **other), key("a"))


async def test_a_planted_entry_is_a_miss(store: Store, redis_server: RedisServer) -> None:
    """Somebody who can write to Redis but has not the secret puts words into nobody's mouth."""
    await keep(store, key("a"))
    *generations, name = NAMES.read(key("a"))
    planted = Envelope(b"not the secret of the house", 0).seal(key("a"), Entry.now(b"no", 60))
    redis_server.ask("SET", name, b"".join(stored_under(redis_server, g) for g in generations) + planted)
    assert (None, 1) == (await store.get(key("a")), (await store.stats()).errors)


async def test_an_entry_copied_to_another_key_is_a_miss(store: Store, redis_server: RedisServer) -> None:
    """Nor does he answer one question with what was said to another."""
    same_shard = in_one_shard(2)
    await keep(store, *same_shard)
    source, target = (NAMES.read(place)[-1] for place in same_shard)
    redis_server.ask("SET", target, stored_under(redis_server, source))
    assert [True, False] == await found(store, *same_shard)


@pytest.mark.parametrize("value", [b"", b"\0", b"x" * 500])
async def test_foreign_bytes_are_a_miss(store: Store, redis_server: RedisServer, value: bytes) -> None:
    """Whatever stands there."""
    await keep(store, key("a"))
    redis_server.ask("SET", NAMES.read(key("a"))[-1], value)
    assert None is await store.get(key("a"))


async def test_a_key_of_another_type_is_a_miss(store: Store, redis_server: RedisServer) -> None:
    """Somebody else's list where an entry should be."""
    await keep(store, key("a"))
    redis_server.ask("DEL", NAMES.read(key("a"))[-1])
    redis_server.ask("RPUSH", NAMES.read(key("a"))[-1], "x")
    assert None is await store.get(key("a"))


async def test_an_entry_that_redis_kept_too_long_is_a_miss(store: Store, redis_server: RedisServer) -> None:
    """The signed time counts, not the one that anybody may write."""
    await keep(store, key("a"), ttl_s=2)
    redis_server.ask("PERSIST", NAMES.read(key("a"))[-1])

    async def is_gone() -> bool:
        return await store.get(key("a")) is None

    await eventually("it expires", is_gone)
    assert 1 == redis_server.ask("EXISTS", NAMES.read(key("a"))[-1])


async def test_an_entry_of_before_a_purge_is_a_miss(store: Store, redis_server: RedisServer) -> None:
    """Even if it is still there, or comes back: a new generation of its group has begun."""
    old, new = in_one_shard(2, "acme")
    await keep(store, old)
    name = NAMES.read(old)[-1]
    value = stored_under(redis_server, name)
    await store.purge("acme")
    await keep(store, new)
    redis_server.ask("SET", name, value)
    assert [False, True] == await found(store, old, new)


async def test_a_generation_that_redis_evicts_forgets_its_entries(store: Store, redis_server: RedisServer) -> None:
    """And the next write begins another."""
    old, new = in_one_shard(2, "acme")
    await keep(store, old)
    redis_server.ask("DEL", NAMES.read(old)[1])
    before = await found(store, old)
    await keep(store, new)
    assert ([False], [False, True]) == (before, await found(store, old, new))


async def test_a_purge_leaves_nothing_in_redis(store: Store, redis_server: RedisServer) -> None:
    """Also when there is more than one step erases: entries and indexes are gone."""
    keys = in_one_shard(250, "acme")
    for place in keys:
        await store.put(place, Entry.now(b"x", 60))
    await eventually("all are written", lambda: _counts(store, 250))
    assert 250 == await store.purge("acme")
    assert [] == [name for name in redis_server.ask("KEYS", "*") if b":g:" not in name]


async def _counts(store: Store, entries: int) -> bool:
    return (await store.stats()).entries == entries


async def test_nothing_in_redis_stays_for_ever(store: Store, redis_server: RedisServer) -> None:
    """A namespace that nobody uses any more leaves no trace in the end."""
    await keep(store, key("a", "acme"))
    assert [] == [name for name in redis_server.ask("KEYS", "*") if redis_server.ask("PTTL", name) < 0]


async def test_names_of_groups_are_not_told(store: Store, redis_server: RedisServer) -> None:
    """Who lists the keys does not learn the tenants' names."""
    await keep(store, key("a", "acme"))
    assert [] == [name for name in redis_server.ask("KEYS", "*") if b"acme" in name]


async def test_a_redis_that_forgot_its_scripts_is_told_again(store: Store, redis_server: RedisServer) -> None:
    """As it does when it is restarted, or a failover brings another."""
    await keep(store, key("a"))
    redis_server.ask("SCRIPT", "FLUSH")
    await keep(store, key("b"))
    assert 0 == (await store.stats()).errors


async def test_what_was_put_is_written_before_closing(
    store: Store, redis_server: RedisServer, open_redis_store: OpenStore
) -> None:
    """A router that leaves takes nothing with it."""
    keys = [key(number) for number in range(100)]
    for place in keys:
        await store.put(place, Entry.now(b"x", 60))
    await store.close()
    assert [True] * 100 == await found(open_redis_store(address=redis_server.address), *keys)


async def test_look_ups_share_connections(store: Store, redis_server: RedisServer) -> None:
    """Hundreds at once need a handful."""
    await keep(store, key("a"))
    entries = await asyncio.gather(*(store.get(key("a")) for _ in range(500)))
    assert (True, True) == (None not in entries, len(redis_server.ask("CLIENT", "LIST").splitlines()) <= 6)


def test_a_missing_secret_is_named() -> None:
    """At once, not at the first look-up."""
    settings = {"store": {"type": "redis", "address": "localhost:1", "signing_key_env": "NO_SUCH_KEY"}}
    with pytest.raises(BadSecret, match="NO_SUCH_KEY must hold a secret"):
        open_store(CacheSettings.model_validate(settings), {})


def test_a_short_signing_key_is_named() -> None:
    """By its variable, without its value."""
    settings = {"store": {"type": "redis", "address": "localhost:1", "signing_key_env": "SHORT"}}
    with pytest.raises(BadSecret, match="SHORT must be at least 16 bytes long, not 6"):
        open_store(CacheSettings.model_validate(settings), {"SHORT": "secret"})


@pytest.fixture
def guarded_redis() -> Iterator[RedisServer]:
    """Only the user `house` is let in, with the rights that the store needs and no others."""
    rights = "+mget +evalsha +eval +get +set +pexpire +zadd +zremrangebyscore +time +del +zrange +zrem +unlink"
    rules = f"house on >opensesame ~enginehouse:* {rights} +exists +zcount +info"
    with RedisServer("--user", *rules.split(), "--user", "default", "off") as server:
        yield server


async def test_an_acl_user_is_enough(guarded_redis: RedisServer, open_redis_store: OpenStore) -> None:
    """With the rights of `guarded_redis` everything works."""
    store = open_redis_store(address=guarded_redis.address, username="house", password_env="REDIS_PASSWORD")
    await keep(store, key("a", "acme"))
    assert (1, 1) == ((await store.stats()).entries, await store.purge("acme"))


async def test_a_wrong_password_is_an_outage(
    guarded_redis: RedisServer, open_redis_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Misses, and a line in the log that says why without the password."""
    wrong = {"username": "house", "password_env": "REDIS_PASSWORD", "secrets": {"REDIS_PASSWORD": "openwheat"}}
    breaker = {"max_failures": 1}
    store = open_redis_store(address=guarded_redis.address, breaker=breaker, **wrong)
    entry = await store.get(key("a"))
    assert (None, 1, True, False) == (
        entry,
        len(caplog.messages),
        "invalid username-password pair" in caplog.text,
        "openwheat" in caplog.text,
    )


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ca.pem`, and the certificate and key of a server and a client of that authority."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "another-ca.pem")
    for name, certificate in {
        "server": authority.issue_cert("127.0.0.1", "localhost"),
        "elsewhere": authority.issue_cert("redis.example.org"),
        "client": authority.issue_cert("router@example.org"),
    }.items():
        certificate.private_key_pem.write_to_path(folder / f"{name}.key")
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    return folder


@pytest.fixture
def tls_redis(certificates: Path, request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """It speaks TLS alone, and asks for a client's certificate. Its own is `server`'s, or that of the parameter."""
    own = getattr(request, "param", "server")
    port = free_port()
    files = {"ca-cert-file": "ca.pem", "cert-file": f"{own}.pem", "key-file": f"{own}.key"}
    options = [text for name, file in files.items() for text in (f"--tls-{name}", str(certificates / file))]
    with RedisServer("--port", "0", "--tls-port", str(port), *options, port=port) as server:
        yield server


async def test_a_redis_behind_tls_is_reached(
    tls_redis: RedisServer, certificates: Path, open_redis_store: OpenStore
) -> None:
    """Both sides show a certificate of the one authority."""
    tls = {"ca_file": "ca.pem", "certificate_file": "client.pem", "key_file": "client.key"}
    store = open_redis_store(
        address=tls_redis.address, tls={name: str(certificates / file) for name, file in tls.items()}
    )
    await keep(store, key("a"))


async def test_a_redis_of_another_authority_is_not_trusted(
    tls_redis: RedisServer, certificates: Path, open_redis_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is asked of it, and the log says why."""
    tls = {"ca_file": str(certificates / "another-ca.pem")}
    store = open_redis_store(address=tls_redis.address, tls=tls, breaker={"max_failures": 1})
    assert (None, True) == (await store.get(key("a")), "certificate verify failed" in caplog.text)


@pytest.mark.parametrize("tls_redis", ["elsewhere"], indirect=True)
async def test_a_redis_of_another_name_is_not_trusted(
    tls_redis: RedisServer, certificates: Path, open_redis_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A certificate is for one host."""
    tls = {"ca_file": str(certificates / "ca.pem")}
    store = open_redis_store(address=tls_redis.address, tls=tls, breaker={"max_failures": 1})
    assert (None, True) == (await store.get(key("a")), "IP address mismatch" in caplog.text)
