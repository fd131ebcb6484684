"""router.wire_apis.ollama on the wire: what no client library shows."""

import asyncio

import orjson
import pytest
from door import Door, OpenDoor
from polling import eventually
from scripted_engine import ScriptedEngine
from wire import DONE, GREEDY, STREAM_HEAD, TOKENS, USAGE_EVENT, WHOLE, chunk, event, stream

from cache.memory_store import MemoryStore
from router.wire_apis.ollama.models import API_VERSION

SAID = [{"role": "user", "content": "hi"}]


async def test_a_stream_on_the_wire(door: Door, engine: ScriptedEngine) -> None:
    """Lines of JSON and nothing else, streamed without being asked for."""
    engine.script(stream(TOKENS, USAGE_EVENT, DONE))
    answer = await door.post({"model": "m", "messages": SAID}, "/api/chat", {"x-request-id": "r-1"})
    assert (200, "application/x-ndjson", "r-1") == (
        answer.status, answer.headers["content-type"], answer.headers["x-request-id"],
    )  # fmt: skip
    assert [False, False, True] == [orjson.loads(line)["done"] for line in answer.body.splitlines()]
    assert answer.is_whole


async def test_a_token_is_not_held_back(door: Door, engine: ScriptedEngine) -> None:
    """The client has it before the engine says more."""
    more = asyncio.Event()
    engine.script(STREAM_HEAD, chunk(TOKENS), more, chunk(USAGE_EVENT + DONE), b"0\r\n\r\n")
    with await door.client() as client:
        await client.post({"model": "m", "messages": SAID}, "/api/chat")
        await client.until(b'"content":"lo"')
        more.set()
        await client.until(b'"done":true')


async def test_the_cache_is_shared_with_chats(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """What one client asked as a chat, another gets here."""
    door = await open_door(store=MemoryStore(1_000_000, 4096))
    door.serve_with(engine.replica("r1"))
    engine.script(WHOLE)
    await door.post(GREEDY)
    asked = {"model": "m:latest", "messages": SAID, "options": {"temperature": 0}}
    answers = [await door.post({**asked, "stream": streams}, "/api/chat") for streams in (False, True)]
    assert ["hit", "hit"] == [answer.headers["x-enginehouse-cache"] for answer in answers]
    assert "hello" == orjson.loads(answers[0].body)["message"]["content"]
    assert 1 == len(engine.requests)


async def test_a_completion_that_is_superseded(door: Door, engine: ScriptedEngine) -> None:
    """Is answered at once, with nothing, as Ollama has it: the same editor has asked anew."""
    answered = {"id": "cmpl-1", "model": "m", "choices": [{"index": 0, "text": "x", "finish_reason": "stop"}]}
    engine.script(asyncio.Event())
    engine.script(stream(event(answered), USAGE_EVENT, DONE))
    asked = {"model": "m", "prompt": "def f(", "suffix": "\n"}
    with await door.client() as older:
        await older.post(asked, "/api/generate", {"x-session-id": "s"})
        await eventually(lambda: engine.requests)
        newer = await door.post({**asked, "prompt": "def f(a"}, "/api/generate", {"x-session-id": "s"})
        empty = await older.answer()
    assert "true" == empty.headers["x-enginehouse-superseded"]
    [last] = [orjson.loads(line) for line in empty.body.splitlines()]
    assert ("", True, "stop") == (last["response"], last["done"], last["done_reason"])
    assert b'"response":"x"' in newer.body


@pytest.mark.parametrize("path", ["/api/version", "/api/tags", "/api/ps"])
async def test_heads(path: str, door: Door) -> None:
    """Ollama's own program asks for them, to know whether somebody is there."""
    answer = await door.ask("HEAD", path)
    assert (200, b"") == (answer.status, answer.body)


async def test_the_version(door: Door) -> None:
    """Is one that clients accept: from 0.6.4 on."""
    assert {"version": API_VERSION} == orjson.loads((await door.ask("GET", "/api/version")).body)
    assert (0, 6, 4) <= tuple(map(int, API_VERSION.split(".")))


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/tags", "GET, HEAD"),
        ("GET", "/api/chat", "POST"),
        ("GET", "/api/show", "POST"),
        ("POST", "/api/delete", "DELETE"),
        ("GET", "/api/blobs/sha256:0", "HEAD, POST"),
    ],
)
async def test_other_methods(method: str, path: str, allowed: str, door: Door) -> None:
    """Are refused with those that there are, in Ollama's envelope."""
    answer = await door.ask(method, path)
    assert (405, allowed) == (answer.status, answer.headers["allow"])
    assert isinstance(orjson.loads(answer.body)["error"], str)


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/api/delete"), ("POST", "/api/pull"), ("HEAD", "/api/blobs/sha256:0")]
)
async def test_changes(method: str, path: str, door: Door) -> None:
    """Are refused, whatever their body is."""
    assert 403 == (await door.ask(method, path)).status


async def test_a_body_that_is_none(door: Door) -> None:
    """Is the client's mistake."""
    answers = [await door.post(b"{", path) for path in ("/api/chat", "/api/show", "/api/embed")]
    assert [400] * 3 == [answer.status for answer in answers]
