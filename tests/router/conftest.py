"""Fixtures: a router behind a real socket, and engines that answer by script behind others."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
import uvloop

from cache.store import Store
from configs.router import ListenerSettings, RequestSettings

# The tests' own modules. Nothing else is in that folder, so that no test shadows a package on this path.
sys.path.insert(0, str(Path(__file__).parent / "support"))

from door import Door, OpenDoor
from scripted_engine import ScriptedEngine

REQUESTS = RequestSettings(replica_wait_s=0.3, connect_timeout_s=5)
"""Limits for tests that do not reach them, except that nobody waits long for a replica that will not come."""


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The router's own listener runs on uvloop, so its tests do."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def _frequent_timers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at time limits more often than in production, so that tests with short limits are short."""
    monkeypatch.setattr("router.state.TICK_S", 0.02)
    monkeypatch.setattr("router.listener._SWEEP_S", 0.02)
    monkeypatch.setattr("router.listener.IDLE_GRACE_S", 0.3)


@pytest_asyncio.fixture
async def engine() -> AsyncIterator[ScriptedEngine]:
    """One engine."""
    scripted = ScriptedEngine()
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest_asyncio.fixture
async def other_engine() -> AsyncIterator[ScriptedEngine]:
    """A second engine."""
    scripted = ScriptedEngine()
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest_asyncio.fixture
async def open_door() -> AsyncIterator[OpenDoor]:
    """Opens routers with settings of the test's own; closes them at its end."""
    async with AsyncExitStack() as doors:

        async def open_one(
            requests: RequestSettings = REQUESTS,
            listener: ListenerSettings | None = None,
            keys: Iterable[str] = (),
            store: Store | None = None,
        ) -> Door:
            door = await Door.open(requests, listener, keys, store)
            doors.push_async_callback(door.close)
            return door

        yield open_one


@pytest_asyncio.fixture
async def door(open_door: OpenDoor, engine: ScriptedEngine) -> Door:
    """A router without keys whose model `m` has one replica, `r1`, which is `engine`."""
    opened = await open_door()
    opened.serve_with(engine.replica("r1"))
    return opened
