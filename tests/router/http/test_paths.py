"""Paths with stray slashes, at a real listener: they are answered where they were meant to go."""

import pytest
from door import KEY, Door
from scripted_engine import ScriptedEngine
from wire import CHAT


@pytest.mark.parametrize("path", ["/v1/models/", "//v1/models", "/v1//models", "//v1///models//", "//api/tags/"])
@pytest.mark.parametrize("prefix", [f"/k/{KEY}", f"//k/{KEY}", f"/k/{KEY}/"])
async def test_a_list_is_found_below_a_key(path: str, prefix: str, locked: Door) -> None:
    """Addresses that end with a slash are joined with routes that begin with one."""
    answer = await locked.ask("GET", prefix + path)
    assert 200 == answer.status


@pytest.mark.parametrize("path", ["/v1/chat/completions/", "//v1/chat/completions", "/v1/messages/", "//v1/messages"])
async def test_a_generation_is_not_sent_elsewhere(path: str, locked: Door, engine: ScriptedEngine) -> None:
    """Clients do not follow redirects of a POST, and the engine hears the route's own path."""
    answer = await locked.post({**CHAT, "max_tokens": 1}, f"/k/{KEY}{path}")
    assert (200, "/v1/chat/completions") == (answer.status, engine.requests[0].path)


@pytest.mark.parametrize("path", ["/", "//", "/health/", "//health"])
async def test_what_needs_no_key_needs_none(path: str, locked: Door) -> None:
    """Probes have none."""
    assert 200 == (await locked.ask("GET", path)).status


@pytest.mark.parametrize("path", [f"//k/{KEY}/nothing/", f"/k/{KEY}//nothing", f"///k/{KEY}/v1/models/nobody/"])
async def test_a_key_is_not_repeated(path: str, locked: Door) -> None:
    """Nor is anything else found there."""
    answer = await locked.ask("GET", path)
    assert (404, False) == (answer.status, KEY in repr((answer.body, answer.headers)))


@pytest.mark.parametrize("path", ["/k//v1/models", "//k//v1/models"])
async def test_an_empty_key_stays_empty(path: str, locked: Door) -> None:
    """The slash behind it is not a stray one."""
    assert 401 == (await locked.ask("GET", path)).status
