"""The way to Redis through redis-py: one server, a master behind Sentinels, or a cluster, all asked alike."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from cache.store import BadSecret, CacheError
from configs.cache import RedisStoreSettings

Command = tuple[bytes | str | int, ...]

_NEVER_AGAIN: Final = Retry(NoBackoff(), 0)  # a retry would outlast the look-up; the breaker decides when to try again


class LinkFailed(CacheError):
    """Redis could not be asked, or answered with something other than a result. Its text is for the log."""


def read_secret(environment: Mapping[str, str], name: str) -> str:
    """
    The value of an environment variable.

    Raises:
        BadSecret: it is not set, or empty.
    """
    value = environment.get(name, "")
    if not value:
        raise BadSecret(f"the environment variable {name} must hold a secret of the response cache, and is not set")
    return value


class RedisLink:
    """Sends commands and says in one kind of error what went wrong. Connects at the first command, and again after."""

    def __init__(self, settings: RedisStoreSettings, environment: Mapping[str, str]) -> None:
        """
        Raises:
            BadSecret: an environment variable that the settings name is not set.
        """
        self.is_cluster = settings.cluster is not None
        self._limit_s = settings.connect_timeout_ms / 1000
        self._sentinel: Sentinel | None = None
        # redis-py's own types say `Any` for what it returns
        self._client: Any = self._open(settings, environment)

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """
        The results of all commands, in one round trip, in their order. One that Redis refused is its error.

        Raises:
            LinkFailed: no answer within `connect_timeout_ms`, connecting included. The connection is given up, so
                that nobody reads a late answer as his own.
        """
        try:
            async with asyncio.timeout(self._limit_s):
                if len(commands) == 1:
                    return [await self._run_one(commands[0])]
                async with self._client.pipeline(transaction=False) as pipeline:
                    for command in commands:
                        pipeline.execute_command(*command)
                    results: list[Any] = await pipeline.execute(raise_on_error=False)
                return results
        except TimeoutError as error:
            raise LinkFailed(f"no answer within {self._limit_s:g} s") from error
        except Exception as error:  # the one place where redis-py's errors become ours
            raise LinkFailed(f"{type(error).__name__}: {error}") from error

    async def info(self) -> list[dict[str, Any]]:
        """
        What each server says about itself.

        Raises:
            LinkFailed: as `run` does.
        """
        try:
            async with asyncio.timeout(self._limit_s):
                if not self.is_cluster:
                    return [await self._client.info()]
                return list((await self._client.info(target_nodes=RedisCluster.PRIMARIES)).values())
        except Exception as error:
            raise LinkFailed(f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        await self._client.aclose()
        for sentinel in self._sentinel.sentinels if self._sentinel is not None else ():
            await sentinel.aclose()

    async def _run_one(self, command: Command) -> Any:  # noqa: ANN401  whatever Redis answers
        try:
            return await self._client.execute_command(*command)
        except ResponseError as error:  # a refused command is a result, as it is in a pipeline
            return error

    def _open(self, settings: RedisStoreSettings, environment: Mapping[str, str]) -> Any:  # noqa: ANN401  as above
        options = self._options(settings, environment)
        if settings.cluster is not None:
            nodes = [ClusterNode(*_host_and_port(address)) for address in settings.cluster]
            return RedisCluster(startup_nodes=nodes, **options)
        options |= {"db": settings.database}
        if settings.sentinel is not None:
            at_sentinels = {key: value for key, value in options.items() if key not in {"db", "username", "password"}}
            if settings.sentinel.username is not None:
                at_sentinels["username"] = settings.sentinel.username
            if settings.sentinel.password_env is not None:
                at_sentinels["password"] = read_secret(environment, settings.sentinel.password_env)
            addresses = [_host_and_port(address) for address in settings.sentinel.addresses]
            self._sentinel = Sentinel(addresses, sentinel_kwargs=at_sentinels)  # type: ignore[no-untyped-call]  # redis-py's
            return self._sentinel.master_for(settings.sentinel.service, **options)
        address = settings.address or ""  # the settings allow no other case
        if address.startswith("/"):
            return Redis(unix_socket_path=address, **options)
        host, port = _host_and_port(address)
        return Redis(host=host, port=port, **options)

    def _options(self, settings: RedisStoreSettings, environment: Mapping[str, str]) -> dict[str, Any]:
        options: dict[str, Any] = {
            # `run` keeps the time; a limit for each read would cost another 8 µs of CPU a look-up
            "socket_timeout": None,
            "socket_connect_timeout": self._limit_s,
            "retry": _NEVER_AGAIN,
            "protocol": 2,
            "driver_info": None,  # two commands less for each new connection
        }
        if settings.username is not None:
            options["username"] = settings.username
        if settings.password_env is not None:
            options["password"] = read_secret(environment, settings.password_env)
        if settings.tls is not None:
            options |= {
                "ssl": True,
                "ssl_ca_certs": settings.tls.ca_file,
                "ssl_certfile": settings.tls.certificate_file,
                "ssl_keyfile": settings.tls.key_file,
            }
        return options


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
