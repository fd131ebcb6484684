from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from configs.cache import CacheSettings, MemoryStoreSettings, RedisStoreSettings

REDIS = {"type": "redis", "address": "redis:6379", "signing_key_env": "CACHE_KEY"}


def errors(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """Where, and what, is wrong. Errors that a model's validator raises name the place inside the model."""
    with pytest.raises(ValidationError) as caught:
        CacheSettings.model_validate(settings)
    return [
        (".".join(map(str, (*error["loc"], *error.get("ctx", {}).get("path", ())))), error["msg"])
        for error in caught.value.errors()
    ]


def test_the_default_is_a_store_in_memory() -> None:
    """The laptop needs no service."""
    assert MemoryStoreSettings(max_bytes=268_435_456) == CacheSettings().store


@pytest.mark.parametrize(
    "place",
    [
        {"address": "redis.example.org:6379"},
        {"address": "[2001:db8::1]:6379"},
        {"address": "/run/redis/redis.sock"},
        {"sentinel": {"addresses": ["one:26379", "two:26379"], "service": "house"}},
        {"cluster": ["one:6379", "two:6379"]},
    ],
)
def test_there_are_four_ways_to_redis(place: dict[str, Any]) -> None:
    """Each is enough by itself."""
    settings = CacheSettings.model_validate({"store": {"type": "redis", "signing_key_env": "KEY", **place}})
    assert isinstance(settings.store, RedisStoreSettings)
    assert list(place) == [name for name in ("address", "sentinel", "cluster") if getattr(settings.store, name)]


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        ({"address": None}, "store.redis.address", "must be given, or sentinel or cluster in its place"),
        ({"cluster": ["a:1"]}, "store.redis.cluster", "cannot be set beside address"),
        ({"address": "redis"}, "store.redis.address", "HOST:PORT, [IPV6]:PORT or the absolute path"),
        ({"address": ":6379"}, "store.redis.address", "HOST:PORT, [IPV6]:PORT or the absolute path"),
        ({"address": "redis://redis:6379"}, "store.redis.address", "HOST:PORT, [IPV6]:PORT or the absolute path"),
        ({"address": "2001:db8::1:6379"}, "store.redis.address", "HOST:PORT, [IPV6]:PORT or the absolute path"),
        ({"address": "redis:0"}, "store.redis.address", "must end in a port from 1 to 65535, not '0'"),
        ({"address": "redis:65536"}, "store.redis.address", "must end in a port from 1 to 65535, not '65536'"),
        ({"address": None, "cluster": ["/a"]}, "store.redis.cluster.0", "a unix socket cannot be one of several"),
        ({"address": None, "cluster": []}, "store.redis.cluster", "must name at least one"),
        ({"address": None, "cluster": ["a:1"], "database": 1}, "store.redis.database", "must be 0"),
        ({"address": "/s", "tls": {}}, "store.redis.tls", "cannot be set beside the path of a unix socket"),
        ({"tls": {"key_file": "k"}}, "store.redis.tls.key_file", "needs certificate_file beside it"),
        ({"tls": {"certificate_file": "c"}}, "store.redis.tls.certificate_file", "needs key_file beside it"),
        ({"username": "house"}, "store.redis.username", "needs password_env beside it"),
        ({"password_env": "not a name"}, "store.redis.password_env", "must be the name of an environment variable"),
        ({"signing_key_env": None}, "store.redis.signing_key_env", "valid string"),
        ({"password": "opensesame"}, "store.redis.password", "Extra inputs are not permitted"),
        ({"key_prefix": "a{b}"}, "store.redis.key_prefix", "should match pattern"),
        ({"lookup_budget_ms": 0}, "store.redis.lookup_budget_ms", "greater than 0"),
        (
            {"breaker": {"first_retry_ms": 20, "max_retry_ms": 10}},
            "store.redis.breaker.max_retry_ms",
            "must be at least first_retry_ms (20)",
        ),
    ],
)
def test_what_is_wrong_with_redis_is_named(change: dict[str, Any], where: str, what: str) -> None:
    """One error, at its field."""
    ((place, message),) = errors({"store": {**REDIS, **change}})
    assert (where, True) == (place, what in message)


def test_a_signing_key_is_needed() -> None:
    """Entries in Redis are always authenticated."""
    store = {"type": "redis", "address": "redis:6379"}
    assert [("store.redis.signing_key_env", "Field required")] == errors({"store": store})


def test_an_unknown_store_is_named() -> None:
    """With those that there are."""
    ((place, message),) = errors({"store": {"type": "memcached"}})
    assert ("store", True) == (place, "'memory', 'redis'" in message)


def test_an_entry_must_fit_into_memory() -> None:
    """A limit that can never be reached is a mistake."""
    settings = {"store": {"type": "memory", "max_bytes": 65_536}, "max_entry_bytes": 65_537}
    assert [("max_entry_bytes", "must be at most the store's max_bytes (65536)")] == errors(settings)


_redis_stores = st.builds(
    RedisStoreSettings,
    type=st.just("redis"),
    address=st.sampled_from(["redis:6379", "/run/redis.sock"]),
    signing_key_env=st.from_regex(r"\A[A-Z_][A-Z0-9_]{0,20}\Z").filter(lambda name: name.strip("_")),
    database=st.integers(0, 65_535),
    lookup_budget_ms=st.floats(0, 10_000, exclude_min=True),
)


@given(
    st.builds(
        CacheSettings,
        store=st.builds(MemoryStoreSettings, max_bytes=st.integers(300_000_000)) | _redis_stores,
        max_entry_bytes=st.integers(1024, 268_435_456),
        compress_above_bytes=st.integers(0),
    )
)
def test_settings_survive_json(written: CacheSettings) -> None:
    """What is written is read again as it was."""
    assert written == CacheSettings.model_validate_json(written.model_dump_json())
