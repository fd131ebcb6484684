"""Engines for the contract: of each kind one, which all tests share, since real vLLM takes 40 s to start."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

# The tests' own modules, under names that no other folder of tests uses.
sys.path.insert(0, str(Path(__file__).parents[1] / "engine_support"))

from contract_engines import CONTRACT_ENGINES, ContractEngine

from configs.engine import EngineSettings
from deployments.engines import create_engine
from deployments.engines.runtime import EngineRuntime


class SharedEngine:
    """One that runs whenever it is asked for, until a test that may end it has had it."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings
        self._runtime: EngineRuntime | None = None

    async def running(self) -> EngineRuntime:
        if self._runtime is None:
            engine = create_engine(self._settings)
            runtime = EngineRuntime(engine, self._settings, "127.0.0.1", lambda *_: None, lambda _: None)
            self._runtime = await runtime.__aenter__()
        return self._runtime

    async def end(self) -> None:
        if self._runtime is not None:
            runtime, self._runtime = self._runtime, None
            await runtime.__aexit__(None, None, None)


@pytest.fixture(params=[engine.param for engine in CONTRACT_ENGINES], scope="session")
def kind(request: pytest.FixtureRequest) -> ContractEngine:
    """All tests of a kind come one after another, whichever modules they are in."""
    return request.param


@pytest.fixture(scope="session")
def settings(kind: ContractEngine) -> Iterator[EngineSettings]:
    with kind.open_settings() as settings:
        yield settings


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(settings: EngineSettings) -> AsyncIterator[SharedEngine]:
    engine = SharedEngine(settings)
    yield engine
    await engine.end()


@pytest_asyncio.fixture(loop_scope="session")
async def runtime(shared: SharedEngine) -> EngineRuntime:
    """The engine that all tests share."""
    return await shared.running()


@pytest_asyncio.fixture(loop_scope="session")
async def doomed(shared: SharedEngine) -> AsyncIterator[EngineRuntime]:
    """The same for a test that may end it: the next one gets another."""
    yield await shared.running()
    await shared.end()
