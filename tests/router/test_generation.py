"""router.generation: one request, from its arrival over as many replicas as it takes to its account."""

import asyncio
import logging

import orjson
import pytest
from door import Door
from polling import eventually
from scripted_engine import Ending, ScriptedEngine
from wire import (
    CHAT,
    CHAT_STREAM,
    COMPLETION,
    DONE,
    LAST_CHUNK,
    STREAM,
    TOKENS,
    WHOLE,
    chunk,
    event,
    stream,
    whole,
)

from router.metrics import REQUEST_LATENCY, REQUESTS, RETRIES

# what the engine is asked


async def test_the_request_reaches_the_engine_as_it_came(door: Door, engine: ScriptedEngine) -> None:
    """Where nothing has to change, the client's own bytes go on: order, spaces, unknown fields and all."""
    engine.script(WHOLE)
    body = b'{ "temperature":0.50, "model" : "m","messages":[{"role":"user","content":"h\\u0069"}], "mirostat": 2 }'
    await door.post(body)
    assert body == engine.requests[0].body


async def test_the_engine_is_asked_with_its_own_key(door: Door, engine: ScriptedEngine) -> None:
    """The replica's secret, not what the client sent; and the request's id, for the engine's log."""
    engine.script(WHOLE)
    answer = await door.post(CHAT, headers={"authorization": "Bearer of-the-client", "cookie": "a=b"})
    [request] = engine.requests
    assert "Bearer secret-of-r1" == request.headers["authorization"]
    assert answer.headers["x-request-id"] == request.headers["x-request-id"]
    assert "cookie" not in request.headers


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_the_route_is_kept(path: str, door: Door, engine: ScriptedEngine) -> None:
    """The engine is asked on the path that the client used."""
    engine.script(WHOLE)
    assert 200 == (await door.post({**CHAT, **COMPLETION}, path)).status
    assert path == engine.requests[0].path


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_completions_id_is_one_of_a_completion(*, is_stream: bool, door: Door, engine: ScriptedEngine) -> None:
    """llama.cpp gives it a chat's; what a text says of ids stays."""
    text = 'the "id":"chatcmpl-7" stays'
    document = {"id": "chatcmpl-7", "object": "text_completion", "choices": [{"index": 0, "text": text}]}
    engine.script(stream(event(document), DONE) if is_stream else whole(document))
    answer = await door.post({**COMPLETION, "stream": is_stream}, "/v1/completions")
    body = answer.body.removeprefix(b"data: ").removesuffix(b"\n\n" + DONE)
    assert {**document, "id": "cmpl-7"} == orjson.loads(body)


@pytest.mark.parametrize("is_stream", [False, True])
async def test_thoughts_have_the_name_that_clients_look_for(
    *, is_stream: bool, door: Door, engine: ScriptedEngine
) -> None:
    """vLLM has another one for them; what a text says of reasoning stays."""
    door.serve_with(engine.replica("r2", profile="vllm"))
    said = {"content": 'its "reasoning": none', "reasoning": 'the "reasoning": of it'}
    name = "delta" if is_stream else "message"
    document = {"id": "c1", "choices": [{"index": 0, name: said, "finish_reason": "stop"}]}
    engine.script(stream(event(document), DONE) if is_stream else whole(document))
    answer = await door.post({**CHAT, "stream": is_stream})
    [choice] = orjson.loads(answer.body.removeprefix(b"data: ").removesuffix(b"\n\n" + DONE))["choices"]
    assert {"content": said["content"], "reasoning_content": said["reasoning"]} == choice[name]


async def test_a_chats_id_stays(door: Door, engine: ScriptedEngine) -> None:
    """Nothing of a chat is replaced."""
    engine.script(whole({"id": "chatcmpl-7", "choices": []}))
    assert b'{"id":"chatcmpl-7","choices":[]}' == (await door.post(CHAT)).body


async def test_an_alias_becomes_the_models_name(door: Door, engine: ScriptedEngine) -> None:
    """The engine knows one name only; nothing else changes."""
    engine.script(WHOLE)
    await door.post({**CHAT, "model": "default", "mirostat": 2})
    assert {**CHAT, "mirostat": 2} == engine.requests[0].document


async def test_the_usage_of_a_stream_is_always_asked_for(door: Door, engine: ScriptedEngine) -> None:
    """The client's other stream options stay."""
    engine.script(STREAM)
    await door.post({**CHAT_STREAM, "stream_options": {"include_usage": False, "include_obfuscation": False}})
    assert {"include_usage": True, "include_obfuscation": False} == engine.requests[0].document["stream_options"]


async def test_a_client_that_asks_for_the_usage_is_passed_on_unchanged(door: Door, engine: ScriptedEngine) -> None:
    """There is nothing to add."""
    engine.script(STREAM)
    body = b'{"stream_options":{"include_usage":true},  "stream":true,' + orjson.dumps(CHAT)[1:]
    await door.post(body)
    assert body == engine.requests[0].body


# connections to the engine


async def test_a_connection_is_used_again(door: Door, engine: ScriptedEngine) -> None:
    """Two requests, one connection: whole or streamed."""
    engine.script(STREAM)
    engine.script(WHOLE)
    await door.post(CHAT_STREAM)
    await door.post(CHAT)
    assert (2, 1) == (len(engine.requests), len(engine.connections))


async def test_connection_close_is_obeyed(door: Door, engine: ScriptedEngine) -> None:
    """The next request has a connection of its own."""
    engine.otherwise = [whole({}, extra_headers="connection: close\r\n")]
    assert [200, 200] == [(await door.post(CHAT)).status, (await door.post(CHAT)).status]
    assert 2 == len(engine.connections)


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET])
async def test_an_idle_connection_that_ends_under_a_request_is_replaced(
    ending: Ending, door: Door, engine: ScriptedEngine
) -> None:
    """The engine closed it at the moment of the request: a fresh one is no retry, and nobody's fault."""
    engine.script(WHOLE)
    engine.script(ending)
    engine.script(WHOLE)
    assert [200, 200] == [(await door.post(CHAT)).status, (await door.post(CHAT)).status]
    assert (3, 2) == (len(engine.requests), len(engine.connections))
    assert 0 == door.sink.total(RETRIES)
    assert 0 == door.replicas[0].blocked_until


async def test_concurrent_requests_have_a_connection_each(door: Door, engine: ScriptedEngine) -> None:
    """No request waits for another's connection."""
    gate = asyncio.Event()
    engine.otherwise = [gate, WHOLE]
    asking = [asyncio.ensure_future(door.post(CHAT)) for _ in range(8)]
    await eventually(lambda: len(engine.requests) == 8)
    assert 8 == door.num_running
    gate.set()
    assert [200] * 8 == [(await one).status for one in asking]
    assert 8 == len(engine.connections)
    assert 0 == door.num_running


# the client's connection


async def test_a_clients_connection_is_used_again(door: Door, engine: ScriptedEngine) -> None:
    """Whole answers, streams and errors, one after another, on one connection."""
    engine.script(WHOLE)
    engine.script(STREAM)
    engine.script(WHOLE)
    with await door.client() as client:
        statuses = []
        for body in (CHAT, CHAT_STREAM, {}, CHAT):
            await client.post(body)
            statuses.append((await client.answer()).status)
    assert [200, 200, 400, 200] == statuses


async def test_pipelined_requests_are_answered_in_their_order(door: Door, engine: ScriptedEngine) -> None:
    """The second waits for the first, although both were sent at once."""
    engine.script(STREAM)
    engine.script(WHOLE)
    with await door.client() as client:
        await client.post(CHAT_STREAM)
        await client.post(CHAT)
        first, second = await client.answer(), await client.answer()
    assert TOKENS + DONE == first.body
    assert "application/json" == second.headers["content-type"]


async def test_a_body_may_come_in_parts(door: Door, engine: ScriptedEngine) -> None:
    """Chunked, and cut within a chunk."""
    engine.script(WHOLE)
    body = orjson.dumps(CHAT)
    with await door.client() as client:
        await client.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        await client.send(chunk(body[:10])[:-6])
        await client.send(chunk(body[:10])[-6:] + chunk(body[10:]))
        await client.send(LAST_CHUNK)
        assert 200 == (await client.answer()).status
    assert body == engine.requests[0].body


async def test_a_client_may_ask_before_it_sends_its_body(door: Door, engine: ScriptedEngine) -> None:
    """curl does, with bodies that are large."""
    engine.script(WHOLE)
    body = orjson.dumps(CHAT)
    with await door.client() as client:
        await client.send(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
            % len(body)
        )
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == await client.until(b"\r\n\r\n")
        await client.send(body)
        assert 200 == (await client.answer()).status


# the account


async def test_every_request_is_counted_once(door: Door, engine: ScriptedEngine) -> None:
    """By what became of it."""
    engine.script(WHOLE)
    engine.script(whole({"error": {"message": "bad"}}, 400))
    await door.post(CHAT)
    await door.post(CHAT)
    await door.post({**CHAT, "model": "unknown"})
    await door.post(b"{")
    labels = [(one.labels["code"], one.labels["model"], one.labels["replica"]) for one in door.sink.of(REQUESTS)]
    assert [
        ("ok", "m", "r1"), ("invalid_request", "m", "r1"), ("model_not_found", "", ""), ("invalid_request", "", ""),
    ] == labels  # fmt: skip
    assert 4 == len([*door.sink.of(REQUEST_LATENCY)])


async def test_a_fault_of_the_router_itself_is_an_envelope_and_a_log(
    door: Door, engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """The client learns nothing of the inside; the log has the traceback and the request's id."""
    door.serve_with(engine.replica("r2", profile="a profile that does not exist"))
    answer = await door.post(CHAT, headers={"x-request-id": "mine-1"})
    assert (500, "internal_error") == (answer.status, answer.error["code"])
    assert "does not exist" not in str(answer.error)
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "request mine-1 failed in the router" == record.getMessage()
    assert record.exc_info
