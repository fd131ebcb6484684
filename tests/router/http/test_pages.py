"""Pages that ask from within a browser, at a real listener: those of the settings are answered as browsers want it."""

import pytest
from door import KEY, Door, OpenDoor
from raw_client import ClientAnswer, request
from scripted_engine import ScriptedEngine
from wire import CHAT, CHAT_STREAM, HELLO_STREAM, WHOLE

from configs.router import ListenerSettings

PAGE = "https://chat.example.com"
CHAT_PATH = "/v1/chat/completions"
QUESTION = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-lang",
    "access-control-request-private-network": "true",
}


@pytest.fixture
async def open_to_pages(open_door: OpenDoor, engine: ScriptedEngine) -> Door:
    """A router that wants a key, and lets one page ask."""
    door = await open_door(listener=ListenerSettings(allowed_origins=(PAGE,)), keys=[KEY])
    door.serve_with(engine.replica("r1"))
    return door


async def may_ask(door: Door, origin: str, path: str = CHAT_PATH) -> ClientAnswer:
    """What a browser asks before it lets a page send a key."""
    with await door.client() as client:
        await client.send(request("OPTIONS", path, {"origin": origin, **QUESTION}))
        return await client.answer()


@pytest.mark.parametrize("path", [CHAT_PATH, "/v1/models", "/v1/messages", "/api/chat", f"/k/{KEY}/v1/models"])
async def test_a_page_may_ask(path: str, open_to_pages: Door) -> None:
    """Without a key, as browsers ask: the page's own request has it."""
    answer = await may_ask(open_to_pages, PAGE, path)
    assert (200, PAGE) == (answer.status, answer.headers["access-control-allow-origin"])
    assert {"authorization", "x-stainless-lang"} <= set(answer.headers["access-control-allow-headers"].split(","))
    assert "true" == answer.headers["access-control-allow-private-network"]


async def test_another_page_may_not(open_to_pages: Door) -> None:
    """Its browser gets no word that it may."""
    answer = await may_ask(open_to_pages, "https://other.example.com")
    assert 400 == answer.status
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(("key", "status"), [(KEY, 200), ("wrong", 401)])
@pytest.mark.parametrize(("body", "said"), [(CHAT, WHOLE), (CHAT_STREAM, HELLO_STREAM)], ids=["whole", "streamed"])
async def test_a_page_reads_its_answer(
    key: str, status: int, body: dict[str, object], said: bytes, open_to_pages: Door, engine: ScriptedEngine
) -> None:
    """And the errors, by which its user learns what is wrong."""
    engine.script(said)
    answer = await open_to_pages.post(body, headers={"origin": PAGE, "authorization": f"Bearer {key}"})
    assert (status, PAGE) == (answer.status, answer.headers["access-control-allow-origin"])
    assert "x-request-id" in answer.headers["access-control-expose-headers"]


async def test_no_page_may_ask_by_itself(locked: Door) -> None:
    """A browser's question is a method that is not there."""
    answer = await may_ask(locked, PAGE)
    assert "access-control-allow-origin" not in answer.headers
    assert answer.status in (401, 405)
