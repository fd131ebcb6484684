"""Fixtures: a real Redis, and stores that are closed after their test."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvloop

from cache.opening import open_store
from cache.store import Store
from configs.cache import CacheSettings

# The tests' own modules. Nothing else is in that folder, so that no test shadows a package on this path.
sys.path.insert(0, str(Path(__file__).parent / "support"))

from cached import OpenStore
from redis_server import RedisServer

SECRETS = {"CACHE_KEY": "a secret for the tests' own entries", "REDIS_PASSWORD": "opensesame"}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The router runs on uvloop, so its cache does."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="module")
def shared_redis() -> Iterator[RedisServer]:
    """For tests that only fill it: one process for all of them, emptied before each."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server(shared_redis: RedisServer) -> RedisServer:
    shared_redis.ask("FLUSHALL")
    return shared_redis


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """For tests that stop, pause or kill it."""
    with RedisServer() as server:
        yield server


@pytest_asyncio.fixture
async def open_redis_store() -> AsyncIterator[OpenStore]:
    """Opens a store with the settings of `store.redis` that are given; `cache` holds those of the cache itself."""
    opened: list[Store] = []

    def open_it(cache: dict[str, Any] | None = None, secrets: dict[str, str] | None = None, **store: Any) -> Store:
        # the budget is for a machine that does other work too; tests of lateness set their own
        redis = {"type": "redis", "signing_key_env": "CACHE_KEY", "lookup_budget_ms": 5000, **store}
        settings = CacheSettings.model_validate({"store": redis, **(cache or {})})
        opened.append(open_store(settings, SECRETS | (secrets or {})))
        return opened[-1]

    yield open_it
    for store in opened:
        await store.close()
