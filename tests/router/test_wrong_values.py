"""Each value of a whole request, in each API, replaced by what it should not be."""

import copy
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from door import Door
from simulated_engines import SimulatedEngine
from whole_requests import WHOLE_REQUESTS

from configs.router import ListenerSettings, RequestSettings

WRONG: tuple[object, ...] = ([], {"a": [1]}, [[1]], [{"type": ["a"]}], 2**70, True, None, "x")
Place = tuple[str | int, ...]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def url() -> AsyncIterator[str]:
    """Of a router whose model `m` is simulated."""
    door = await Door.open(RequestSettings(replica_wait_s=0.3), ListenerSettings(), ())
    engine = await SimulatedEngine.start()
    door.serve_with(engine.replica("m"))
    yield f"http://127.0.0.1:{door.port}"
    await door.close()
    await engine.stop()


def places(value: object, above: Place = ()) -> Iterator[Place]:
    """Of everything that is in it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield (*above, name)
        yield from places(one, (*above, name))


def replaced(request: Any, place: Place, wrong: object) -> Any:
    changed = at = copy.deepcopy(request)
    for name in place[:-1]:
        at = at[name]
    at[place[-1]] = wrong
    return changed


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("path", WHOLE_REQUESTS)
async def test_wrong_values_are_never_the_routers_failure(path: str, url: str) -> None:
    """They are taken or refused, each with the client's own mistake; never 422, and never 500."""
    asked = WHOLE_REQUESTS[path]
    failed = []
    async with aiohttp.ClientSession() as client:
        for place in places(asked):
            for wrong in WRONG:
                async with client.post(url + path, json=replaced(asked, place, wrong)) as answer:
                    await answer.read()
                if answer.status in (422, 500):
                    failed.append((place, wrong, answer.status))
    assert [] == failed
