"""router.listener: limits before a request, draining, and a port that is shared."""

import asyncio
import gc
import socket

import pytest
from door import Door, OpenDoor, free_port, table_of_m
from memory_transport import MemoryTransport
from polling import eventually
from raw_client import RawClient, request
from recording_sink import RecordingSink
from scripted_engine import ScriptedEngine
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from wire import CHAT, CHAT_STREAM, DONE, LAST_CHUNK, STREAM_HEAD, TOKENS, WHOLE, chunk

from configs.router import ListenerSettings, RequestSettings
from router.app import RouterApp
from router.http.auth import KeyRing
from router.listener import Listener, ListenError, _OneWrite, bind
from router.state import RouterState

SMALL = ListenerSettings(max_header_bytes=1024, max_body_bytes=1024)
HASTY = ListenerSettings(request_timeout_s=0.1)
HEALTH = request("GET", "/health")


# limits


@pytest.mark.parametrize(
    "head",
    [
        b"GET /health HTTP/1.1\r\nx-long: " + b"x" * 2000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nx-long: " + b"x" * 2000,
        b"GET /" + b"x" * 2000 + b" HTTP/1.1\r\n\r\n",
        b"GET /" + b"x" * 2000,
        b"GET /health HTTP/1.1\r\n" + b"a: b\r\n" * 400,
    ],
    ids=["one header", "a header without end", "the path", "a path without end", "many headers"],
)
async def test_a_head_that_is_too_large(head: bytes, open_door: OpenDoor) -> None:
    """431 as soon as it is seen, and the connection is closed."""
    door = await open_door(listener=SMALL)
    with await door.client() as client:
        await client.send(head)
        answer = await client.answer()
        assert (431, "headers_too_large", "close") == (
            answer.status,
            answer.error["code"],
            answer.headers["connection"],
        )
        assert b"" == await client.ended()


async def test_a_body_may_be_larger_than_a_head(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Each has its own limit, also when both come in one segment."""
    door = await open_door(listener=SMALL.model_copy(update={"max_body_bytes": 10_000}))
    door.serve_with(engine.replica("r1"))
    engine.script(WHOLE)
    assert 200 == (await door.post({**CHAT, "user": "x" * 5000})).status


async def test_an_offer_of_http_2_is_passed_over(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Java's client offers to upgrade with every request: its body is read all the same, and so is the next request."""
    door = await open_door()
    door.serve_with(engine.replica("r1"))
    engine.script(WHOLE)
    engine.script(WHOLE)
    offer = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAEAAEAAAAIAAAAB"}
    with await door.client() as client:
        for _ in range(2):
            await client.post(CHAT, headers=offer)
            assert 200 == (await client.answer()).status


async def test_a_body_that_is_too_large(open_door: OpenDoor) -> None:
    """413, by its declared length or by its bytes."""
    door = await open_door(listener=SMALL)
    assert "request_too_large" == (await door.post({**CHAT, "user": "x" * 2000})).error["code"]
    with await door.client() as client:
        await client.send(b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        await client.send(chunk(b"x" * 2000) + LAST_CHUNK)
        assert 413 == (await client.answer()).status


@pytest.mark.parametrize("head", [b"GET /hea", b"GET /health HTTP/1.1\r\nhost: x\r\n"])
async def test_a_head_that_does_not_end(head: bytes, open_door: OpenDoor) -> None:
    """408, which no client is to repeat, and the connection is closed."""
    door = await open_door(listener=HASTY)
    with await door.client() as client:
        await client.send(head)
        answer = await client.answer()
        assert (408, "request_timeout", "false") == (
            answer.status,
            answer.error["code"],
            answer.headers["x-should-retry"],
        )
        assert b"" == await client.ended()


async def test_a_second_head_that_does_not_end(open_door: OpenDoor) -> None:
    """A connection that has served has no privilege."""
    door = await open_door(listener=HASTY)
    with await door.client() as client:
        await client.send(HEALTH + HEALTH[:20])
        assert [200, 408] == [(await client.answer()).status, (await client.answer()).status]


async def test_a_connection_without_a_word_is_closed(open_door: OpenDoor) -> None:
    """There is nothing to answer."""
    door = await open_door(listener=HASTY)
    with await door.client() as client:
        assert b"" == await client.ended()


async def test_a_body_that_does_not_end(open_door: OpenDoor) -> None:
    """408, in the words of bodies."""
    door = await open_door(listener=HASTY)
    with await door.client() as client:
        await client.send(b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        answer = await client.answer()
    assert (408, "The request's body did not arrive within 0.1 s.") == (answer.status, answer.error["message"])


async def test_a_long_answer_is_no_slow_request(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """The limit is on what the client sends."""
    door = await open_door(listener=HASTY)
    door.serve_with(engine.replica("r1"))
    gate = asyncio.Event()
    engine.script(gate, WHOLE)
    answering = asyncio.ensure_future(door.post(CHAT))
    await eventually(lambda: engine.requests)
    for connection in door.connections:
        connection.expire(door.state.loop.time() + 100, 1000)
    gate.set()
    assert 200 == (await answering).status


async def test_too_many_connections(open_door: OpenDoor) -> None:
    """503 with the time after which to come again; the others are not disturbed, and a free place is given away."""
    door = await open_door(listener=ListenerSettings(max_connections=2))
    with await door.client() as first, await door.client() as second:
        await eventually(lambda: door.listener.num_connections == 2)
        with await door.client() as third:
            answer = await third.answer()
            assert (503, "engine_overloaded", "1") == (
                answer.status,
                answer.error["code"],
                answer.headers["retry-after"],
            )
        await first.send(HEALTH)
        assert 200 == (await first.answer()).status
        second.leave()
        await eventually(lambda: door.listener.num_connections == 1)
    assert 200 == (await door.ask("GET", "/health")).status


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"FOO / X\r\n\r\n",
    ],
)
async def test_what_is_not_http(garbage: bytes, door: Door) -> None:
    """400 in the envelope, with a request id, and the connection is closed."""
    with await door.client() as client:
        await client.send(garbage)
        answer = await client.answer()
        assert (400, "invalid_request") == (answer.status, answer.error["code"])
        assert answer.headers["x-request-id"].startswith("req-")
        assert b"" == await client.ended()


async def test_garbage_behind_a_request_does_not_end_up_in_its_answer(door: Door, engine: ScriptedEngine) -> None:
    """The stream is cut, with nothing in it that is not the engine's."""
    engine.script(STREAM_HEAD, chunk(TOKENS), asyncio.Event())
    with await door.client() as client:
        await client.post(CHAT_STREAM)
        await client.until(TOKENS)
        await client.send(b"\x00\x00garbage\r\n\r\n")
        assert b"\r\n" == await client.ended()
    await eventually(lambda: engine.num_open == 0)


async def test_garbage_behind_a_request_is_not_taken_for_its_answer(door: Door, engine: ScriptedEngine) -> None:
    """Before the first byte, too: the connection is closed without a word."""
    engine.script(asyncio.Event())
    with await door.client() as client:
        await client.post(CHAT)
        await eventually(lambda: engine.requests)
        await client.send(b"\x00\x00garbage\r\n\r\n")
        assert b"" == await client.ended()
    await eventually(lambda: engine.num_open == 0)


async def test_a_body_that_is_not_http_is_answered(door: Door) -> None:
    """The fault is in the request that is to be answered."""
    with await door.client() as client:
        await client.send(b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
        assert 400 == (await client.answer()).status


# one write for a head and its body

HEAD, BODY = b"HTTP/1.1 200 OK\r\n\r\n", b"1\r\na\r\n"


def test_a_head_leaves_with_its_first_body() -> None:
    """One system call for both; what follows goes at once."""
    transport = MemoryTransport()
    one_write = _OneWrite(transport)
    for data in (HEAD, BODY, BODY, HEAD, BODY):
        one_write.write(data)
    assert [HEAD + BODY, BODY, HEAD + BODY] == transport.writes


@pytest.mark.parametrize("ending", ["flush", "close"])
def test_a_head_without_a_body_leaves_at_the_end(ending: str) -> None:
    """As in the answer to a HEAD, or one that is cut."""
    transport = MemoryTransport()
    one_write = _OneWrite(transport)
    one_write.write(HEAD)
    assert [] == transport.writes
    getattr(one_write, ending)()
    one_write.flush()
    assert [HEAD] == transport.writes


def test_an_interim_answer_is_not_held_back() -> None:
    """The client waits for it before it sends its body."""
    transport = MemoryTransport()
    _OneWrite(transport).write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert [b"HTTP/1.1 100 Continue\r\n\r\n"] == transport.writes


# memory


async def test_a_request_leaves_nothing_for_the_garbage_collector(door: Door, engine: ScriptedEngine) -> None:
    """What was made for it is freed at its end: streams are long, and what outlives a search stays for minutes."""
    engine.otherwise = [WHOLE]
    gc.collect()
    gc.disable()
    try:
        with await door.client() as client:
            for _ in range(10):
                await client.post(CHAT)
                assert 200 == (await client.answer()).status
            num_cycles = sum(isinstance(each, RequestResponseCycle) for each in gc.get_objects())
    finally:
        gc.enable()
    assert 1 == num_cycles


# draining


async def test_draining_refuses_new_connections(door: Door) -> None:
    """The port is closed."""
    assert await door.listener.drain(5)
    with pytest.raises(ConnectionRefusedError):
        await door.client()


async def test_draining_finishes_running_streams(door: Door, engine: ScriptedEngine) -> None:
    """Each to its `[DONE]`; then the listener is done, too."""
    gate = asyncio.Event()
    engine.otherwise = [STREAM_HEAD, chunk(TOKENS), gate, chunk(DONE), LAST_CHUNK]
    with await door.client() as first, await door.client() as second:
        for client in (first, second):
            await client.post(CHAT_STREAM)
            await client.until(TOKENS)
        draining = asyncio.ensure_future(door.listener.drain(20))
        await eventually(lambda: door.state.is_draining)
        gate.set()
        for client in (first, second):
            assert DONE in await client.until(b"0\r\n\r\n")
        assert await draining
        assert b"" == await first.ended()


async def test_draining_answers_idle_connections_within_the_grace(
    door: Door, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that was on its way is answered, and its client told to come back on a new connection."""
    monkeypatch.setattr("router.listener.IDLE_GRACE_S", 600)
    engine.otherwise = [WHOLE]
    with await door.client() as client, await door.client() as other:
        for one in (client, other):
            await one.post(CHAT)
            await one.answer()
        draining = asyncio.ensure_future(door.listener.drain(600))
        await eventually(lambda: door.state.is_draining)
        await client.post(CHAT)
        answer = await client.answer()
        assert (200, "close") == (answer.status, answer.headers["connection"])
        assert b"" == await client.ended()
        await other.send(HEALTH)
        assert "close" == (await other.answer()).headers["connection"]
        assert await draining


async def test_draining_closes_idle_connections_after_the_grace(door: Door) -> None:
    """A client that does not use its connection does not hold the router up."""
    with await door.client() as client:
        await client.send(HEALTH)
        await client.answer()
        assert await door.listener.drain(20)
        assert b"" == await client.ended()


async def test_draining_has_a_time_limit(door: Door, engine: ScriptedEngine) -> None:
    """What is not finished by then is cut, and said to be; the engine sees its client go."""
    engine.script(STREAM_HEAD, chunk(TOKENS), asyncio.Event())
    with await door.client() as client:
        await client.post(CHAT_STREAM)
        await client.until(TOKENS)
        assert not await door.listener.drain(0.1)
        await client.ended()
    await eventually(lambda: engine.num_open == 0)


async def test_draining_serves_what_the_kernel_has_queued() -> None:
    """Connections that were made before the drain, and not yet accepted, are not reset."""
    settings = ListenerSettings(port=free_port())
    state = RouterState(table_of_m(RequestSettings()), KeyRing([]), settings, RecordingSink(), "router-1")
    listener = Listener(RouterApp(state), bind(settings))
    clients = [await RawClient.connect(settings.port) for _ in range(20)]
    for client in clients:
        await client.send(HEALTH)
    draining = asyncio.ensure_future(listener.drain(20))
    assert [200] * 20 == [(await client.answer()).status for client in clients]
    assert await draining
    for client in clients:
        client.leave()
    await state.close()


async def test_aborting_ends_everything_at_once(door: Door, engine: ScriptedEngine) -> None:
    """Clients and engines see their connections go."""
    engine.script(STREAM_HEAD, chunk(TOKENS), asyncio.Event())
    with await door.client() as client:
        await client.post(CHAT_STREAM)
        await client.until(TOKENS)
        await door.listener.abort()
        await client.ended()
    await eventually(lambda: engine.num_open == 0)
    assert 0 == door.listener.num_connections


# the port


async def test_two_listeners_share_a_port(open_door: OpenDoor) -> None:
    """The kernel spreads connections over both; when one has drained, the other has them all."""
    first = await open_door()
    settings = ListenerSettings(port=first.port)
    state = RouterState(table_of_m(RequestSettings()), KeyRing([]), settings, RecordingSink(), "router-2")
    second = Listener(RouterApp(state), bind(settings))
    await second.start()
    clients = [await first.client() for _ in range(64)]
    await eventually(lambda: first.listener.num_connections + second.num_connections == 64)
    assert 0 < second.num_connections < 64
    for client in clients:
        client.leave()
    assert await first.listener.drain(5)
    assert [200] * 8 == [(await first.ask("GET", "/health")).status for _ in range(8)]
    await second.abort()
    await state.close()


def test_a_port_that_is_taken_is_said() -> None:
    """By a program that does not share it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            bind(ListenerSettings(port=port))


def test_an_address_of_another_machine_is_said() -> None:
    """192.0.2.0/24 is nobody's."""
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1:"):
        bind(ListenerSettings(host="192.0.2.1", port=free_port()))
