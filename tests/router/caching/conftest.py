"""Fixtures: routers that share a real Redis."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

# The tests' own modules of the cache's stores.
sys.path.insert(0, str(Path(__file__).parents[2] / "cache" / "support"))

from door import Door, OpenDoor
from redis_server import RedisServer
from scripted_engine import ScriptedEngine

from cache.opening import open_store
from cache.store import Store
from configs.cache import CacheSettings

SECRETS = {"CACHE_KEY": "a secret for the tests' own entries"}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def store_in(redis: RedisServer) -> Store:
    """A router's own way to the Redis of all; late answers are for other tests."""
    store = {"type": "redis", "address": redis.address, "signing_key_env": "CACHE_KEY", "lookup_budget_ms": 5000}
    return open_store(CacheSettings.model_validate({"store": store}), SECRETS)


@pytest_asyncio.fixture
async def routers(redis: RedisServer, open_door: OpenDoor, engine: ScriptedEngine) -> AsyncIterator[list[Door]]:
    """Three routers with one Redis and one replica."""
    redis.ask("FLUSHALL")
    doors = [await open_door(store=store_in(redis)) for _ in range(3)]
    for number, door in enumerate(doors):
        door.state.router_id = f"router-{number}"
        door.serve_with(engine.replica("r1"))
    yield doors
