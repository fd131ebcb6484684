"""Routers with files and batches on one folder, an engine that answers with its prompt, and the OpenAI SDK."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import openai
import pytest
import pytest_asyncio
from batching import OpenHouse, sdk
from door import Door
from echo_engine import EchoEngine

from configs.batches import BatchSettings, FolderStoreSettings
from configs.router import RequestSettings
from router.batches.service import Batches
from router.replicas.registry import Figures

REQUESTS = RequestSettings(replica_wait_s=0.3, connect_timeout_s=5)


@pytest.fixture(autouse=True)
def _frequent_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the store more often than in production, so that tests need not wait."""
    monkeypatch.setattr("router.batches.service.SCAN_S", 0.05)
    monkeypatch.setattr("router.batches.service.LOOK_S", 0.01)
    monkeypatch.setattr("router.batches.work.LOOK_S", 0.05)
    monkeypatch.setattr("router.batches.lease._SETTLE_S", 0.01)


@pytest_asyncio.fixture
async def echo() -> AsyncIterator[EchoEngine]:
    engine = EchoEngine()
    await engine.start()
    yield engine
    await engine.stop()


async def bring_figures(door: Door, echo: EchoEngine) -> None:
    """What the engine does, said to the router often. A house's replicas say it once a second."""
    for number in itertools.count():
        figures = Figures(number, echo.num_running, 0, None)
        door.state.take_over_figures({replica.replica_id: figures for replica in door.replicas})
        await asyncio.sleep(0.05)


@pytest_asyncio.fixture
async def open_house(tmp_path: Path, echo: EchoEngine) -> AsyncIterator[OpenHouse]:
    """Opens routers on one folder of batches. Each serves `m` with `echo`."""
    async with AsyncExitStack() as doors:

        async def open_one(name: str = "router-1", keys: tuple[str, ...] = (), **settings: object) -> Door:
            door = await Door.open(REQUESTS, keys=keys)
            doors.push_async_callback(door.close)
            door.state.router_id = name
            door.serve_with(echo.replica("r1"))
            store = FolderStoreSettings(type="folder", path=str(tmp_path / "batches"))
            batches = Batches.open(BatchSettings.model_validate({"store": store, **settings}), {}, door.state)
            assert batches is not None
            door.state.batches = batches
            batches.run_lines()
            telling = asyncio.create_task(bring_figures(door, echo))
            doors.callback(telling.cancel)
            return door

        yield open_one


@pytest_asyncio.fixture
async def house(open_house: OpenHouse) -> Door:
    """One router without keys."""
    return await open_house()


@pytest_asyncio.fixture
async def client(house: Door) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk(house) as opened:
        yield opened
