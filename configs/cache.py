"""Settings of the response cache's store: where answers are kept, and how much of them."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from configs.settings import EnvironmentName, Seconds, Settings, error_at


def _is_redis_address(value: str) -> str:
    if value.startswith("/"):
        return value
    host, separator, port = value.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if not separator or not host or "/" in host or (":" in host and not is_bracketed):
        raise ValueError("must be HOST:PORT, [IPV6]:PORT or the absolute path of a unix socket")
    if not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= 65535:
        raise ValueError(f"must end in a port from 1 to 65535, not {port!r}")
    return value


def _is_tcp_address(value: str) -> str:
    if value.startswith("/"):
        raise ValueError("must be HOST:PORT: a unix socket cannot be one of several")
    return _is_redis_address(value)


RedisAddress = Annotated[str, Field(min_length=1), AfterValidator(_is_redis_address)]
"""`HOST:PORT`, `[IPV6]:PORT`, or the absolute path of a unix socket."""

TcpAddress = Annotated[str, Field(min_length=1), AfterValidator(_is_tcp_address)]
"""`HOST:PORT` or `[IPV6]:PORT`."""


def _is_not_empty(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise ValueError("must name at least one")
    return value


# not Field(min_length=1), which also complains when one of them is wrong
TcpAddresses = Annotated[tuple[TcpAddress, ...], AfterValidator(_is_not_empty)]

ByteCount = Annotated[int, Field(ge=0)]


class RedisTlsSettings(Settings):
    """How the connection to Redis is encrypted. The block alone, empty, is TLS with the system's authorities."""

    ca_file: str | None = None
    """Path of the authorities' certificates, in PEM. Default: the system's."""

    certificate_file: str | None = None
    """Path of the client's certificate, in PEM, for a Redis that asks for one."""

    key_file: str | None = None
    """Path of the client certificate's private key, in PEM."""

    @model_validator(mode="after")
    def _certificate_has_its_key(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            given, missing = "certificate_file", "key_file"
            if self.certificate_file is None:
                given, missing = missing, given
            raise error_at((given,), f"needs {missing} beside it")
        return self


class SentinelSettings(Settings):
    """A Redis master that is found, and found again after a failover, through Sentinels."""

    addresses: TcpAddresses
    """The Sentinels, each `HOST:PORT`."""

    service: Annotated[str, Field(min_length=1)]
    """Name under which the Sentinels know the master: `mymaster` in Redis's own examples."""

    username: str | None = None
    """ACL user at the Sentinels, which have users of their own."""

    password_env: EnvironmentName | None = None
    """Environment variable that holds the password at the Sentinels."""


class MemoryStoreSettings(Settings):
    """A store inside each router replica: nothing to run, nothing shared, empty after a restart."""

    type: Literal["memory"] = "memory"
    """Keep entries in the router's own memory."""

    max_bytes: Annotated[int, Field(ge=65_536)] = 268_435_456
    """Memory for entries of one router replica, in bytes. Those used longest ago make room for new ones."""


class BreakerSettings(Settings):
    """When Redis is left alone, and when it is tried again."""

    max_failures: Annotated[int, Field(ge=1, le=1000)] = 5
    """Failed or late exchanges with Redis, one after another, after which it counts as away: nothing is asked of it
    any more."""

    first_retry_ms: Annotated[int, Field(ge=10, le=60_000)] = 500
    """When an absent Redis is tried again for the first time, in milliseconds. Each further pause is twice as long,
    and all of them vary at random by a half, so that router replicas do not come back as one."""

    max_retry_ms: Annotated[int, Field(ge=10, le=600_000)] = 15_000
    """Longest pause between two tries, in milliseconds."""

    @model_validator(mode="after")
    def _pauses_grow(self) -> Self:
        if self.max_retry_ms < self.first_retry_ms:
            raise error_at(("max_retry_ms",), f"must be at least first_retry_ms ({self.first_retry_ms})")
        return self


class RedisStoreSettings(Settings):
    """A store in Redis 7 or newer, shared by all router replicas. Slow or gone, it is a miss."""

    type: Literal["redis"]
    """Keep entries in Redis."""

    address: RedisAddress | None = None
    """One Redis: `HOST:PORT`, or the absolute path of its unix socket. Either this, `sentinel` or `cluster`."""

    sentinel: SentinelSettings | None = None
    """A master behind Redis Sentinel."""

    cluster: TcpAddresses | None = None
    """Some nodes of a Redis Cluster, each `HOST:PORT`; they name the others."""

    database: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Number of the database. A Redis Cluster has only 0."""

    tls: RedisTlsSettings | None = None
    """Encryption. Default: none."""

    username: str | None = None
    """ACL user. Default: Redis's own user `default`."""

    password_env: EnvironmentName | None = None
    """Environment variable that holds the password."""

    signing_key_env: EnvironmentName
    """Environment variable that holds the secret by which entries are authenticated, at least 16 bytes long and the
    same for all router replicas. Without it somebody who can write to Redis could put words into a model's mouth."""

    key_prefix: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:/-]+$")] = "enginehouse:"
    """What the names of all keys in Redis begin with. Two houses on one Redis need two prefixes."""

    lookup_budget_ms: Annotated[float, Field(gt=0, le=10_000)] = 20.0
    """Longest time a request waits for a look-up, in milliseconds. Then it is a miss."""

    connect_timeout_ms: Annotated[int, Field(ge=10, le=60_000)] = 2000
    """Longest time for a new connection, and for any exchange that no request waits for, in milliseconds."""

    max_pending_writes: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Entries of one router replica on their way to Redis. Further ones are dropped: a cache may forget."""

    breaker: BreakerSettings = BreakerSettings()
    """When Redis is left alone, and when it is tried again."""

    @model_validator(mode="after")
    def _is_one_kind_of_redis(self) -> Self:
        given = [name for name in ("address", "sentinel", "cluster") if getattr(self, name) is not None]
        if not given:
            raise error_at(("address",), "must be given, or sentinel or cluster in its place")
        if len(given) > 1:
            raise error_at((given[1],), f"cannot be set beside {given[0]}")
        if self.cluster is not None and self.database != 0:
            raise error_at(("database",), "must be 0: a Redis Cluster has no other")
        if self.tls is not None and self.address is not None and self.address.startswith("/"):
            raise error_at(("tls",), "cannot be set beside the path of a unix socket")
        if self.username is not None and self.password_env is None:
            raise error_at(("username",), "needs password_env beside it")
        return self


MIN_SIGNING_KEY_BYTES = 16


def secret_names(store: MemoryStoreSettings | RedisStoreSettings) -> Iterator[tuple[tuple[str, ...], str]]:
    """The environment variables that a store takes its secrets from, each with the setting that names it."""
    if isinstance(store, MemoryStoreSettings):
        return
    yield ("signing_key_env",), store.signing_key_env
    if store.password_env is not None:
        yield ("password_env",), store.password_env
    if store.sentinel is not None and store.sentinel.password_env is not None:
        yield ("sentinel", "password_env"), store.sentinel.password_env


StoreSettings = Annotated[MemoryStoreSettings | RedisStoreSettings, Field(discriminator="type")]


class CacheSettings(Settings):
    """The response cache: where it keeps answers and how large they may be."""

    store: StoreSettings = MemoryStoreSettings()
    """Where answers are kept: `type: memory` or `type: redis`."""

    max_entry_bytes: Annotated[int, Field(ge=1024, le=268_435_456)] = 1_048_576
    """Largest answer that is kept, before compression, in bytes."""

    compress_above_bytes: ByteCount = 2048
    """Answers larger than this are compressed in Redis, in bytes. Those in memory are not: a hit there costs nothing
    but the look-up."""

    @model_validator(mode="after")
    def _entries_fit(self) -> Self:
        if isinstance(self.store, MemoryStoreSettings) and self.max_entry_bytes > self.store.max_bytes:
            raise error_at(("max_entry_bytes",), f"must be at most the store's max_bytes ({self.store.max_bytes})")
        return self


class CachePolicy(Settings):
    """Which answers of one model are kept, for how long, and for whom."""

    mode: Literal["off", "deterministic", "always"] = "deterministic"
    """Which answers are kept, and shared while they are made: `deterministic` are greedy ones (`temperature: 0`) and
    those with a `seed`, beside all embeddings and ranks. A request may ask for more or less by its header
    `x-enginehouse-cache`; nothing is kept or shared with `off`."""

    ttl_s: Seconds = 86_400.0
    """How long an answer is kept, in seconds."""

    ttl_jitter_ratio: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """By how much that varies at random, up and down, so that what was kept together does not end together."""

    shared_by: Literal["key", "everybody"] = "key"
    """Who gets an answer that is kept: whoever has the API key that it was made for, or everybody here."""

    keep_truncated: bool = False
    """Keep answers that end because `max_tokens` was reached, too."""
