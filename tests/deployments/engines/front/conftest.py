"""A front before a server whose every byte is scripted."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

# The tests' own modules, under names that no other folder of tests uses.
sys.path.insert(0, str(Path(__file__).parent / "support"))

from scripted_server import ScriptedServer

from configs.engine import EndpointSettings
from deployments.engines.front.server import Front
from deployments.engines.openai_endpoint import OpenAiEndpointDialect

SECRET = "s3cr3t"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    server.url = await server.start()
    yield server
    await server.stop()


@pytest.fixture
def settings(server: ScriptedServer) -> EndpointSettings:
    return EndpointSettings(engine="openai", model="m", model_source="theirs", base_url=server.url)


@pytest.fixture
async def front(settings: EndpointSettings) -> AsyncIterator[Front]:
    front = Front(OpenAiEndpointDialect(settings), "m", "127.0.0.1", SECRET)
    front.address = await front.start()
    yield front
    await front.close()


@pytest.fixture
async def client(front: Front) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {SECRET}"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{front.address.port}", headers=headers) as session:
        yield session


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Polls until a condition holds; fails the test when it does not within 20 s."""

    async def poll(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110  the conditions are another task's
                await asyncio.sleep(0.01)

    return poll
