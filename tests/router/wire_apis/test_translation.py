"""router.wire_apis.translation: a request in an API of its own on the path of a chat, from socket to socket."""

import asyncio

import orjson
import pytest
from door import Door, OpenDoor
from polling import eventually
from scripted_engine import Ending, ScriptedEngine
from wire import DONE, GREEDY, STOP, STREAM_HEAD, TOKENS, USAGE_EVENT, WHOLE, chunk, stream

from cache.memory_store import MemoryStore
from configs.router import ListenerSettings, RequestSettings

PATH = "/v1/messages"
ASKED: dict[str, object] = {"model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]}
ASKED_STREAM: dict[str, object] = {**ASKED, "stream": True}


async def test_a_stream_on_the_wire(door: Door, engine: ScriptedEngine) -> None:
    """Named events, no `[DONE]`, and headers as of any other stream."""
    engine.script(stream(TOKENS, STOP, USAGE_EVENT, DONE))
    answer = await door.post(ASKED_STREAM, PATH, {"x-request-id": "r-1"})
    assert (200, "text/event-stream; charset=utf-8") == (answer.status, answer.headers["content-type"])
    assert ("r-1", "r-1") == (answer.headers["x-request-id"], answer.headers["request-id"])
    names = [line for line in answer.body.split(b"\n") if line.startswith(b"event: ")]
    assert [b"event: message_start", b"event: message_stop"] == [names[0], names[-1]]
    assert b"[DONE]" not in answer.body
    assert answer.is_whole
    assert {"include_usage": True} == engine.requests[0].document["stream_options"]


async def test_a_token_is_not_held_back(door: Door, engine: ScriptedEngine) -> None:
    """The client has it before the engine says more."""
    more = asyncio.Event()
    engine.script(STREAM_HEAD, chunk(TOKENS), more, chunk(STOP + USAGE_EVENT + DONE), b"0\r\n\r\n")
    with await door.client() as client:
        await client.post(ASKED_STREAM, PATH)
        await client.until(b'"text":"lo"')
        more.set()
        await client.until(b"message_stop")


async def test_a_stream_that_breaks(door: Door, engine: ScriptedEngine) -> None:
    """Ends with the API's own error event, and a connection that is cut."""
    engine.script(STREAM_HEAD, chunk(TOKENS), Ending.CLOSE)
    answer = await door.post(ASKED_STREAM, PATH, {"x-request-id": "r-1"})
    assert not answer.is_whole
    name, _, data = answer.body.removesuffix(b"\n\n").rpartition(b"\n\n")[2].partition(b"\n")
    document = orjson.loads(data.removeprefix(b"data: "))
    assert b"event: error" == name
    assert ("error", "api_error", "r-1") == (document["type"], document["error"]["type"], document["request_id"])


@pytest.mark.parametrize("path", [PATH, "/api/chat"])
async def test_a_stream_that_cannot_be_read(path: str, door: Door, engine: ScriptedEngine) -> None:
    """Ends at once, for the client and for an engine that would go on."""
    engine.script(STREAM_HEAD, chunk(TOKENS), chunk(b"data: {broken\n\n"), asyncio.Event())
    with await door.client() as client:
        await client.post(ASKED_STREAM, path)
        await client.until(b'"error"')
        await client.ended()
        await eventually(lambda: engine.num_open == 0)
    assert "engine_failed" in repr(door.sink.records)


async def test_a_client_that_waits(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Gets the headers early, and comments that no client takes for anything else."""
    door = await open_door(RequestSettings(early_headers_s=0.01))
    door.serve_with(engine.replica("r1"))
    begin = asyncio.Event()
    engine.script(begin, stream(TOKENS, STOP, USAGE_EVENT, DONE))
    with await door.client() as client:
        await client.post(ASKED_STREAM, PATH)
        await client.until(b": keep-alive\n\n")
        begin.set()
        assert b": ping" not in await client.until(b"message_stop")


async def test_failover(door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine) -> None:
    """Another replica answers, as it would a chat."""
    engine.otherwise, other_engine.otherwise = [Ending.RESET], [WHOLE]
    door.serve_with(engine.replica("r1"), other_engine.replica("r2"))
    answer = await door.post(ASKED, PATH)
    assert (200, "hello") == (answer.status, orjson.loads(answer.body)["content"][0]["text"])


async def test_leaving(door: Door, engine: ScriptedEngine) -> None:
    """The engine stops when the client is gone."""
    engine.script(STREAM_HEAD, chunk(TOKENS), asyncio.Event())
    client = await door.client()
    await client.post(ASKED_STREAM, PATH)
    await client.until(b"Hel")
    client.leave()
    await eventually(lambda: engine.num_open == 0)


async def test_the_cache_is_shared_with_chats(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """What one client asked as a chat, another gets as a message, whole and streamed."""
    door = await open_door(store=MemoryStore(1_000_000, 4096))
    door.serve_with(engine.replica("r1"))
    engine.script(WHOLE)
    await door.post({**GREEDY, "max_tokens": 8})
    whole = await door.post({**ASKED, "temperature": 0}, PATH)
    streamed = await door.post({**ASKED_STREAM, "temperature": 0}, PATH)
    assert ["hit", "hit"] == [one.headers["x-enginehouse-cache"] for one in (whole, streamed)]
    assert "hello" == orjson.loads(whole.body)["content"][0]["text"]
    assert b'"text":"hello"' in streamed.body
    assert streamed.body.endswith(b'data: {"type":"message_stop"}\n\n')
    assert 1 == len(engine.requests)


@pytest.mark.parametrize("user_id", ["u1", "u2", "u3"])
async def test_a_conversation_stays_where_it_is(
    user_id: str, door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The name that the request gives it is what a session header would be."""
    engine.otherwise = other_engine.otherwise = [WHOLE]
    door.serve_with(engine.replica("r1"), other_engine.replica("r2"))
    for words in ("a", "b", "c", "d"):
        said = [{"role": "user", "content": words}]
        await door.post({**ASKED, "messages": said, "metadata": {"user_id": user_id}}, PATH)
    assert {0, 4} == {len(engine.requests), len(other_engine.requests)}


@pytest.mark.parametrize("path", [PATH, "/v1/messages/count_tokens"])
async def test_other_methods(path: str, open_door: OpenDoor) -> None:
    """Are refused in the API's own envelope, and without a key not even that much is said."""
    door = await open_door(keys=["k1"])
    refused = await door.ask("GET", path, {"x-api-key": "k1"})
    assert (405, "POST", "invalid_request_error") == (refused.status, refused.headers["allow"], refused.error["type"])
    unknown = await door.ask("GET", path)
    assert (401, "authentication_error") == (unknown.status, unknown.error["type"])
    assert 401 == (await door.post(ASKED, path)).status


@pytest.mark.parametrize("path", [PATH, "/v1/messages/count_tokens"])
@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"", 400, "invalid_request_error"),
        (b"{", 400, "invalid_request_error"),
        (b"[]", 400, "invalid_request_error"),
        (b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"\xff"}]}', 400, "invalid_request_error"),
        (b" " * 70_000, 413, "request_too_large"),
    ],
    ids=["nothing", "half", "a list", "no UTF-8", "too much"],
)
async def test_bodies_that_are_none(path: str, body: bytes, status: int, kind: str, open_door: OpenDoor) -> None:
    """Are the client's mistake, and said to be."""
    door = await open_door(listener=ListenerSettings(max_body_bytes=65_536))
    answer = await door.post(body, path)
    assert (status, kind) == (answer.status, answer.error["type"])


async def test_a_model_for_another_task(door: Door, engine: ScriptedEngine) -> None:
    """Is not asked for a message, nor to count one."""
    door.serve_with(engine.replica("r2", task="embed"))
    answers = [await door.post(ASKED, path) for path in (PATH, "/v1/messages/count_tokens")]
    assert [400, 400] == [answer.status for answer in answers]
    assert [] == engine.requests
