"""router.exchange: one engine's answer on its way to the client, and each of its endings."""

import asyncio
from itertools import pairwise

import pytest
from door import Door, OpenDoor
from hypothesis import given
from hypothesis import strategies as st
from memory_transport import MemoryTransport
from polling import eventually
from scripted_engine import Ending, ScriptedEngine, Step
from wire import (
    CHAT,
    CHAT_STREAM,
    CHAT_STREAM_WITH_USAGE,
    COMPLETED,
    DONE,
    LAST_CHUNK,
    STREAM,
    STREAM_HEAD,
    TOKENS,
    USAGE_EVENT,
    WHOLE,
    chunk,
    event,
    plain,
    stream,
    token,
    whole,
)

from configs.router import RequestSettings
from router.errors import ClientDisconnected
from router.exchange import Exchange
from router.fitting.profiles import PROFILES
from router.http.answer import Answer
from router.http.asgi import Message
from router.metrics import COMPLETION_TOKENS, INTER_TOKEN_LATENCY, PROMPT_TOKENS, TIME_TO_FIRST_TOKEN
from router.replicas.upstream import UpstreamConnection

ENGINE_ERROR: dict[str, object] = {"message": "out of blocks", "type": "server_error", "code": 500}


class SilentMeter:
    def first_token(self) -> None: ...

    def next_token(self, gap_s: float) -> None: ...


async def piped(pieces: list[bytes]) -> tuple[int, bytes, bool, str | None]:
    """What the client gets of an engine's answer in these reads: status, body, whether whole; and the error's code."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    loop = asyncio.get_running_loop()
    answer = Answer(send, [], loop)
    connection = UpstreamConnection(lambda _: None)
    connection.connection_made(MemoryTransport())
    exchange = Exchange(connection, answer, PROFILES["vllm"], SilentMeter(), wants_usage=False)
    running = asyncio.ensure_future(exchange.run(b"head", b"body"))
    await asyncio.sleep(0)
    for piece in pieces:
        connection.data_received(piece)
    if not connection.eof_received():
        connection.connection_lost(None)
    error = await running
    body = b"".join(message.get("body", b"") for message in sent)
    return answer.status or 0, body, answer.is_complete, error.code if error else None


class SlowClient:
    """Takes what it is sent once it `reads`."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()

    async def send(self, _: Message) -> None:
        await self.reads.wait()


@pytest.mark.parametrize(("silent_s", "expected"), [(0.9, None), (1.1, "engine_timeout")], ids=["in time", "too long"])
async def test_an_engine_is_not_silent_while_its_client_is_slow(silent_s: float, expected: str | None) -> None:
    """It was not read meanwhile: its time begins anew once it is."""
    client, loop = SlowClient(), asyncio.get_running_loop()
    answer, connection = Answer(client.send, [], loop), UpstreamConnection(lambda _: None)
    connection.connection_made(MemoryTransport())
    exchange = Exchange(connection, answer, PROFILES["vllm"], SilentMeter(), wants_usage=False)
    running = asyncio.ensure_future(exchange.run(b"head", b"body"))
    await asyncio.sleep(0)
    connection.data_received(STREAM_HEAD + chunk(TOKENS))
    assert answer.full_since is not None
    exchange.give_up(loop.time() + 5, 1, 1, 10)  # the client has so long
    exchange.last_read_at -= 5
    client.reads.set()
    await eventually(lambda: answer.full_since is None)
    exchange.give_up(exchange._resumed_at + silent_s, 1, 1, 10)
    if expected is None:
        connection.data_received(chunk(DONE) + LAST_CHUNK)
    error = await running
    assert expected == (error.code if error else None)


async def test_a_client_that_is_slow_for_too_long_has_left() -> None:
    """By its own limit, not by that of its engine."""
    loop = asyncio.get_running_loop()
    answer, connection = Answer(SlowClient().send, [], loop), UpstreamConnection(lambda _: None)
    connection.connection_made(MemoryTransport())
    exchange = Exchange(connection, answer, PROFILES["vllm"], SilentMeter(), wants_usage=False)
    running = asyncio.ensure_future(exchange.run(b"head", b"body"))
    await asyncio.sleep(0)
    connection.data_received(STREAM_HEAD + chunk(TOKENS))
    exchange.give_up(loop.time() + 11, 20, 20, 10)
    with pytest.raises(ClientDisconnected):
        await running


ANSWERS = {
    "stream": (STREAM, (200, TOKENS + DONE, True, None)),
    "stream that the engine breaks off": (
        STREAM_HEAD + chunk(TOKENS) + chunk(token("cut")[:-9]),
        (200, TOKENS, False, "engine_failed"),
    ),
    "stream with an error": (stream(TOKENS, event({"error": ENGINE_ERROR})), (200, TOKENS, False, "engine_failed")),
    "stream without an end": (stream(TOKENS), (200, TOKENS, False, "engine_failed")),
    "stream without a length": (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n" + TOKENS + DONE,
        (200, TOKENS + DONE, True, None),
    ),
    "whole": (WHOLE, (200, WHOLE.partition(b"\r\n\r\n")[2], True, None)),
    "broken off whole": (WHOLE[:-1], (0, b"", False, "engine_unavailable")),
    "error": (whole({"error": {"message": "bad"}}, 400), (0, b"", False, "invalid_request")),
}


@pytest.mark.parametrize("name", ANSWERS)
@given(st.lists(st.integers(0, 1000), max_size=10))
async def test_the_client_gets_the_same_however_the_engines_bytes_are_cut(name: str, cuts: list[int]) -> None:
    """Reads may end anywhere: within a head, a chunk's size, an event or a JSON string."""
    data, expected = ANSWERS[name]
    ends = sorted({cut % len(data) for cut in cuts} | {0, len(data)})
    assert expected == await piped([data[start:end] for start, end in pairwise(ends)])


# whole answers


async def test_a_whole_answer_is_passed_on_unchanged(door: Door, engine: ScriptedEngine) -> None:
    """The engine's bytes, with headers of our own."""
    engine.script(WHOLE)
    answer = await door.post(CHAT)
    assert 200 == answer.status
    assert WHOLE.endswith(b"\r\n\r\n" + answer.body)
    assert "application/json" == answer.headers["content-type"]
    assert str(len(answer.body)) == answer.headers["content-length"]


async def test_a_body_without_length_ends_with_the_connection(door: Door, engine: ScriptedEngine) -> None:
    """HTTP/1.0's way is still allowed."""
    engine.script(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{"choices": []}', Ending.CLOSE)
    assert b'{"choices": []}' == (await door.post(CHAT)).body


async def test_an_interim_answer_comes_before_the_answer(door: Door, engine: ScriptedEngine) -> None:
    """The client does not see the engine's 100 Continue."""
    engine.script(b"HTTP/1.1 100 Continue\r\n\r\n", WHOLE)
    assert 200 == (await door.post(CHAT)).status


async def test_a_whole_answer_that_is_not_json_is_a_failure(door: Door, engine: ScriptedEngine) -> None:
    """A client would fail on it in its own words."""
    engine.script(plain(b"<html>it works</html>", content_type="text/html"))
    answer = await door.post(CHAT)
    assert (500, "engine_failed") == (answer.status, answer.error["code"])
    assert ("false", "engine") == (answer.headers["x-should-retry"], answer.headers["x-enginehouse-error-source"])


async def test_the_usage_of_a_whole_answer_is_counted(door: Door, engine: ScriptedEngine) -> None:
    """Prompt and completion tokens, with the labels of the replica that answered."""
    engine.script(WHOLE)
    await door.post(CHAT)
    assert (3, 2) == (door.sink.total(PROMPT_TOKENS, replica="r1"), door.sink.total(COMPLETION_TOKENS, model="m"))
    assert 0 == door.sink.total(TIME_TO_FIRST_TOKEN)


# streams


async def test_tokens_go_on_as_they_come(door: Door, engine: ScriptedEngine) -> None:
    """The client has the first token before the engine makes the second."""
    gate = asyncio.Event()
    engine.script(STREAM_HEAD, chunk(token("Hel")), gate, chunk(token("lo")), chunk(DONE), LAST_CHUNK)
    with await door.client() as client:
        await client.post(CHAT_STREAM)
        await client.until(token("Hel"))
        gate.set()
        await client.until(token("lo"))
        await client.until(b"0\r\n\r\n")


async def test_the_headers_of_a_stream(door: Door, engine: ScriptedEngine) -> None:
    """They keep proxies from caching and from collecting tokens."""
    engine.script(STREAM)
    answer = await door.post(CHAT_STREAM)
    assert (200, "text/event-stream; charset=utf-8", "no-cache", "no") == (
        answer.status,
        answer.headers["content-type"],
        answer.headers["cache-control"],
        answer.headers["x-accel-buffering"],
    )
    assert TOKENS + DONE == answer.body
    assert answer.is_whole


async def test_usage_that_was_asked_for_is_passed_on(door: Door, engine: ScriptedEngine) -> None:
    """Its event goes to the client, and into the metrics."""
    engine.script(STREAM)
    answer = await door.post(CHAT_STREAM_WITH_USAGE)
    assert TOKENS + USAGE_EVENT + DONE == answer.body
    assert (3, 2) == (door.sink.total(PROMPT_TOKENS), door.sink.total(COMPLETION_TOKENS))


async def test_usage_that_was_not_asked_for_is_counted_only(door: Door, engine: ScriptedEngine) -> None:
    """Its event is ours; the metrics have it."""
    engine.script(STREAM)
    assert TOKENS + DONE == (await door.post(CHAT_STREAM)).body
    assert (3, 2) == (door.sink.total(PROMPT_TOKENS), door.sink.total(COMPLETION_TOKENS))


async def test_the_times_of_tokens_are_recorded(door: Door, engine: ScriptedEngine) -> None:
    """One first token, and a gap for each later read of the engine's socket."""
    gates = [asyncio.Event(), asyncio.Event()]
    engine.script(STREAM_HEAD, chunk(token("a")), gates[0], chunk(token("b")), gates[1], chunk(DONE) + LAST_CHUNK)
    with await door.client() as client:
        await client.post(CHAT_STREAM)
        await client.until(token("a"))
        gates[0].set()
        await client.until(token("b"))
        gates[1].set()
        await client.until(b"0\r\n\r\n")
    assert (1, 2) == (len([*door.sink.of(TIME_TO_FIRST_TOKEN)]), len([*door.sink.of(INTER_TOKEN_LATENCY)]))


BROKEN_STREAMS: dict[str, list[Step]] = {
    "closed within an event": [STREAM_HEAD, chunk(TOKENS), chunk(token("cut")[:20]), Ending.CLOSE],
    "closed within a chunk": [STREAM_HEAD, chunk(TOKENS), chunk(token("cut"))[:30], Ending.CLOSE],
    "closed after an event": [STREAM_HEAD, chunk(TOKENS), Ending.CLOSE],
    "ended without [DONE]": [stream(TOKENS)],
    "an error event": [STREAM_HEAD, chunk(TOKENS), chunk(event({"error": ENGINE_ERROR}))],
    "an error event, then [DONE]": [stream(TOKENS, event({"error": ENGINE_ERROR}), DONE)],
}


@pytest.mark.parametrize("how", BROKEN_STREAMS)
async def test_a_broken_stream_ends_with_an_error_event(how: str, door: Door, engine: ScriptedEngine) -> None:
    """Every whole event, then the error; no `[DONE]`, and the connection is cut within the chunked body."""
    engine.script(*BROKEN_STREAMS[how])
    answer = await door.post(CHAT_STREAM)
    assert 200 == answer.status
    assert answer.body.startswith(TOKENS + b'data: {"error":')
    assert "engine_failed" == answer.error_event["code"]
    assert DONE not in answer.body
    assert not answer.is_whole
    await eventually(lambda: door.num_running == 0)


@pytest.mark.parametrize("ending", [Ending.RESET, b"not a chunk size\r\n"], ids=["reset", "broken HTTP"])
async def test_a_violent_end_in_the_middle_is_an_error_event(ending: Step, door: Door, engine: ScriptedEngine) -> None:
    """A killed engine resets its connections; a broken one may send anything."""
    gate = asyncio.Event()
    engine.script(STREAM_HEAD, chunk(TOKENS), gate, ending)
    with await door.client() as client:
        await client.post(CHAT_STREAM)
        await client.until(TOKENS)
        gate.set()
        assert b'"engine_failed"' in await client.ended()


async def test_the_engines_words_are_in_the_error_event(door: Door, engine: ScriptedEngine) -> None:
    """It says what the engine said."""
    engine.script(stream(TOKENS, event({"error": ENGINE_ERROR})))
    assert "out of blocks" == (await door.post(CHAT_STREAM)).error_event["message"]


async def test_an_error_before_the_first_token_has_a_status(door: Door, engine: ScriptedEngine) -> None:
    """An engine that begins a stream with an error gets an answer with that error, not a stream."""
    engine.script(stream(event({"error": {"message": "bad grammar", "code": 400}})))
    answer = await door.post(CHAT_STREAM)
    assert (400, "invalid_request", "bad grammar") == (answer.status, answer.error["code"], answer.error["message"])


async def test_an_empty_stream_is_a_failure(door: Door, engine: ScriptedEngine) -> None:
    """It has no `[DONE]`, so it was not meant to be empty."""
    engine.script(stream())
    answer = await door.post(CHAT_STREAM)
    assert (500, "engine_failed") == (answer.status, answer.error["code"])


# errors of the engine


@pytest.mark.parametrize(
    ("status", "error", "our_status", "code"),
    [
        (400, {"message": "This model's maximum context length is 9"}, 400, "context_length_exceeded"),
        (400, {"message": "bad", "param": "n"}, 400, "invalid_request"),
        (401, {"message": "who?"}, 500, "engine_failed"),
        (404, {"message": "which?"}, 500, "engine_failed"),
        (429, {"message": "busy"}, 503, "engine_overloaded"),
        (500, {"message": "oh"}, 500, "engine_failed"),
        (503, {"message": "busy"}, 503, "engine_overloaded"),
    ],
)
@pytest.mark.parametrize("request_body", [CHAT, CHAT_STREAM], ids=["whole", "stream"])
async def test_an_engines_error_is_put_into_our_terms(  # noqa: PLR0913 - the table's columns
    *, status: int, error: object, our_status: int, code: str, request_body: object, door: Door, engine: ScriptedEngine
) -> None:
    """Our status and code, in the envelope, marked as the engine's."""
    engine.script(whole({"error": error}, status))
    answer = await door.post(request_body)
    assert (our_status, code) == (answer.status, answer.error["code"])
    assert {"message", "type", "param", "code"} == answer.error.keys()
    assert "engine" == answer.headers["x-enginehouse-error-source"]
    assert ("retry-after" in answer.headers) == (our_status == 503)
    assert ("x-should-retry" in answer.headers) == (code == "engine_failed")


@pytest.mark.parametrize(
    ("status", "our_status", "code"),
    [(400, 400, "invalid_request"), (500, 500, "engine_failed"), (503, 503, "engine_overloaded")],
)
async def test_an_engines_plain_text_error_is_put_into_our_terms(
    status: int, our_status: int, code: str, door: Door, engine: ScriptedEngine
) -> None:
    """Only its status is repeated."""
    engine.script(plain(b"Traceback: secret/path.py", status))
    answer = await door.post(CHAT)
    assert (our_status, code) == (answer.status, answer.error["code"])
    assert f"The engine answered with status {status}." == answer.error["message"]


async def test_an_engines_error_leaves_its_connection_usable(door: Door, engine: ScriptedEngine) -> None:
    """A request that was refused in good order costs no connection."""
    engine.script(whole({"error": {"message": "bad"}}, 400))
    engine.script(WHOLE)
    assert [400, 200] == [(await door.post(CHAT)).status, (await door.post(CHAT)).status]
    assert 1 == len(engine.connections)


async def test_what_is_not_http_is_no_answer(door: Door, engine: ScriptedEngine) -> None:
    """Somebody else listens on the replica's port."""
    engine.otherwise = [b"SSH-2.0-OpenSSH_9.6\r\n"]
    answer = await door.post(CHAT)
    assert (503, "engine_unavailable", "1") == (answer.status, answer.error["code"], answer.headers["retry-after"])


# time limits


async def test_an_engine_that_does_not_begin_is_given_up(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """504, which no client is to repeat; the engine sees its client go, and no other replica is tried."""
    door = await open_door(RequestSettings(first_byte_timeout_s=0.1))
    door.serve_with(engine.replica("r1"))
    engine.script(asyncio.Event())
    answer = await door.post(CHAT)
    assert (504, "engine_timeout", "false") == (answer.status, answer.error["code"], answer.headers["x-should-retry"])
    await eventually(lambda: engine.num_open == 0)
    assert 1 == len(engine.requests)


async def test_a_head_is_not_the_beginning_of_an_answer(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """vLLM sends the head of a stream at once and may queue the request for long: that is no stall."""
    door = await open_door(RequestSettings(first_byte_timeout_s=0.4, stall_timeout_s=0.05))
    door.serve_with(engine.replica("r1"))
    engine.script(STREAM_HEAD, asyncio.Event())
    answer = await door.post(CHAT_STREAM)
    assert 504 == answer.status
    assert "The engine did not begin its answer within 0.4 s." == answer.error["message"]


async def test_an_engine_that_falls_silent_is_given_up(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """The stream ends with an error event, and the engine sees its client go."""
    door = await open_door(RequestSettings(stall_timeout_s=0.1))
    door.serve_with(engine.replica("r1"))
    engine.script(STREAM_HEAD, chunk(TOKENS), asyncio.Event())
    answer = await door.post(CHAT_STREAM)
    assert TOKENS == answer.body.partition(b'data: {"error"')[0]
    assert "engine_timeout" == answer.error_event["code"]
    assert not answer.is_whole
    await eventually(lambda: engine.num_open == 0)


async def test_an_engine_that_does_not_stream_after_early_headers_is_a_failure(
    open_door: OpenDoor, engine: ScriptedEngine
) -> None:
    """The client was promised an event stream already, so a whole answer cannot follow."""
    gate = asyncio.Event()
    door = await open_door(RequestSettings(early_headers_s=0.01))
    door.serve_with(engine.replica("r1"))
    engine.script(gate, whole(COMPLETED))
    with await door.client() as client:
        await client.post(CHAT_STREAM)
        await client.until(b": keep-alive\n\n")
        gate.set()
        assert b"did not stream its answer" in await client.ended()


ENDLESS: dict[str, tuple[dict[str, object], bytes]] = {
    "/v1/chat/completions": (CHAT_STREAM, DONE),
    "/v1/completions": ({"model": "m", "prompt": "hi", "stream": True}, DONE),
    "/v1/responses": ({"model": "m", "input": "hi", "stream": True}, b'"type":"response.completed"'),
    "/v1/messages": ({**CHAT_STREAM, "max_tokens": 8}, b'"type":"message_stop"'),
    "/api/chat": (CHAT, b'"done":true'),
    "/api/generate": ({"model": "m", "prompt": "hi"}, b'"done":true'),
}
"""What streams, by its path, and what its last event has."""


@pytest.mark.parametrize("path", ENDLESS)
async def test_an_engine_that_does_not_end_its_body(
    path: str, door: Door, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's answer ends with the last event all the same, and neither slot nor connection is held."""
    monkeypatch.setattr("router.replicas.upstream.LAST_WORDS_S", 0.01)
    engine.script(STREAM_HEAD, chunk(TOKENS), chunk(DONE), asyncio.Event())
    body, last = ENDLESS[path]
    answer = await door.post(body, path)
    assert (200, True) == (answer.status, answer.is_whole)
    assert last in answer.body
    await eventually(lambda: door.num_running == 0 and engine.num_open == 0)


async def test_an_engine_that_ends_its_body_a_moment_later(
    door: Door, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client does not wait for that, and the connection serves again afterwards."""
    monkeypatch.setattr("router.replicas.upstream.LAST_WORDS_S", 60)
    may_end = asyncio.Event()
    engine.script(STREAM_HEAD, chunk(TOKENS), chunk(DONE), may_end, LAST_CHUNK)
    answer = await door.post(CHAT_STREAM)
    assert (200, True) == (answer.status, answer.is_whole)
    may_end.set()
    await eventually(lambda: door.state.pool(door.replicas[0]).take_idle() is not None)


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET])
async def test_an_engine_that_dies_behind_its_last_event(ending: Ending, door: Door, engine: ScriptedEngine) -> None:
    """After `[DONE]` the client has everything: no error event follows, and its answer is whole."""
    engine.script(STREAM_HEAD, chunk(TOKENS), chunk(DONE), ending)
    answer = await door.post(CHAT_STREAM)
    assert (TOKENS + DONE, True) == (answer.body, answer.is_whole)
