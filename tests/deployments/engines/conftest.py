"""Real engine processes for the tests, each stopped at its test's end."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Protocol

import aiohttp
import pytest

from configs.engine import EngineSettings, SimulatedSettings
from deployments.engines import create_engine
from deployments.engines.contract import Engine
from deployments.engines.runtime import EngineRuntime, Phase

# The tests' own modules. Nothing else is in that folder, so that no test shadows a package on this path.
sys.path.insert(0, str(Path(__file__).parent / "support"))


class StartEngine(Protocol):
    async def __call__(self, settings: EngineSettings, *, engine: Engine | None = None) -> EngineRuntime: ...


Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
def is_alive() -> Callable[[int], bool]:
    """Whether a process runs. A zombie does not: who reaps it is not ours to say."""

    def check(pid: int) -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return stat.rpartition(")")[2].split()[0] != "Z"

    return check


@pytest.fixture
def eventually() -> Eventually:
    """Polls until a condition holds; fails the test when it does not within 20 s."""

    async def poll(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110  the conditions are other processes'
                await asyncio.sleep(0.01)

    return poll


@pytest.fixture
def phases() -> list[Phase]:
    """The phases that the engines of `start_engine` went through."""
    return []


@pytest.fixture
def output() -> list[str]:
    """The lines that the engines of `start_engine` printed."""
    return []


@pytest.fixture
async def start_engine(phases: list[Phase], output: list[str]) -> AsyncIterator[StartEngine]:
    runtimes: list[EngineRuntime] = []

    async def start(settings: EngineSettings, *, engine: Engine | None = None) -> EngineRuntime:
        runtime = EngineRuntime(
            engine or create_engine(settings),
            settings,
            "127.0.0.1",
            on_line=lambda _, line: output.append(line),
            on_phase=phases.append,
        )
        runtimes.append(runtime)
        await runtime.start()
        return runtime

    yield start
    for runtime in runtimes:
        await runtime.stop(grace_s=0)


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[EngineRuntime], Awaitable[aiohttp.ClientSession]]]:
    """Client sessions that know an engine's address and secret."""
    sessions: list[aiohttp.ClientSession] = []

    async def open_session(runtime: EngineRuntime) -> aiohttp.ClientSession:
        address = runtime.address
        session = aiohttp.ClientSession(
            f"http://{address.host}:{address.port}", headers={"Authorization": f"Bearer {address.secret}"}
        )
        sessions.append(session)
        return session

    yield open_session
    for session in sessions:
        await session.close()


@pytest.fixture
def simulated_settings() -> SimulatedSettings:
    """A simulated engine without pauses."""
    return SimulatedSettings(engine="simulated", model="sim", prefill_base_ms=0, inter_token_ms=0, start_timeout_s=60)


@pytest.fixture
def reaches_load() -> Callable[[EngineRuntime, int, int], Awaitable[None]]:
    """Waits until an engine counts so many running and waiting requests; fails the test after 20 s."""

    async def poll(runtime: EngineRuntime, num_running: int, num_waiting: int) -> None:
        async with asyncio.timeout(60):
            while ((load := await runtime.load()).num_running, load.num_waiting) != (num_running, num_waiting):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    return poll
