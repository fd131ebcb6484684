"""router.http.departure: a client that leaves takes its request with it."""

import asyncio

import pytest
from door import Door, OpenDoor
from polling import eventually
from scripted_engine import ScriptedEngine
from wire import CHAT, CHAT_STREAM, STREAM, STREAM_HEAD, TOKENS, WHOLE, chunk

from configs.router import RequestSettings
from router.metrics import REQUESTS

with_reset = pytest.mark.parametrize("with_reset", [False, True], ids=["close", "reset"])


async def departed(door: Door) -> None:
    """Wait until the router has noticed, and nothing of the request is left."""
    await eventually(lambda: door.sink.total(REQUESTS, code="client_disconnected") == 1)
    assert 0 == door.num_running
    assert not door.state.generations
    await eventually(lambda: door.listener.num_connections == 0)


@with_reset
async def test_leaving_while_waiting_for_a_replica(*, with_reset: bool, open_door: OpenDoor) -> None:
    """The request stops waiting."""
    door = await open_door(RequestSettings(replica_wait_s=600))
    with await door.client() as client:
        await client.post(CHAT)
        await eventually(lambda: door.state.generations)
        client.leave(with_reset=with_reset)
        await departed(door)


@with_reset
async def test_leaving_before_the_first_byte(*, with_reset: bool, door: Door, engine: ScriptedEngine) -> None:
    """The engine sees its client go, and can stop its prefill."""
    engine.script(asyncio.Event())
    with await door.client() as client:
        await client.post(CHAT)
        await eventually(lambda: engine.requests)
        assert 1 == door.num_running
        client.leave(with_reset=with_reset)
        await eventually(lambda: engine.num_open == 0)
        await departed(door)


@with_reset
async def test_leaving_in_the_middle_of_a_stream(*, with_reset: bool, door: Door, engine: ScriptedEngine) -> None:
    """The engine sees its client go, although it sends nothing at that moment."""
    engine.script(STREAM_HEAD, chunk(TOKENS), asyncio.Event())
    with await door.client() as client:
        await client.post(CHAT_STREAM)
        await client.until(TOKENS)
        client.leave(with_reset=with_reset)
        await eventually(lambda: engine.num_open == 0)
        await departed(door)


async def test_leaving_while_its_prompt_is_counted(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """The question to the engine is given up, too, and the request never sent."""
    door = await open_door()
    door.serve_with(engine.replica("r1", profile="vllm", max_model_len=1000))
    engine.script(asyncio.Event(), path="/tokenize")
    with await door.client() as client:
        await client.post({**CHAT, "max_tokens": 999})
        await eventually(lambda: engine.requests)
        client.leave()
        await departed(door)
    await eventually(lambda: engine.num_open == 0)
    assert ["/tokenize"] == [request.path for request in engine.requests]


async def test_leaving_in_the_middle_of_its_own_body(door: Door, engine: ScriptedEngine) -> None:
    """Half a request reaches no engine."""
    with await door.client() as client:
        await client.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
        await eventually(lambda: door.listener.num_connections)
        client.leave()
        await departed(door)
    assert [] == engine.requests


async def test_leaving_while_others_stay(door: Door, engine: ScriptedEngine) -> None:
    """Only the connection of the one that left is dropped."""
    gate = asyncio.Event()
    engine.otherwise = [gate, STREAM]
    staying = asyncio.ensure_future(door.post(CHAT_STREAM))
    await eventually(lambda: engine.requests)
    with await door.client() as client:
        await client.post(CHAT_STREAM)
        await eventually(lambda: len(engine.requests) == 2)
        client.leave()
        await eventually(lambda: engine.num_open == 1)
    gate.set()
    assert (await staying).is_whole


async def test_leaving_with_a_second_request_already_sent(door: Door, engine: ScriptedEngine) -> None:
    """Pipelined requests go with their connection: the one that runs as well as the one that waits."""
    engine.script(STREAM_HEAD, chunk(TOKENS), asyncio.Event())
    with await door.client() as client:
        await client.post(CHAT_STREAM)
        await client.post(CHAT)
        await client.until(TOKENS)
        client.leave(with_reset=True)
        await eventually(lambda: engine.num_open == 0)
    await eventually(lambda: not door.state.generations)
    assert 1 == len(engine.requests)
    assert 0 == door.num_running


async def test_leaving_after_the_answer_is_no_departure(door: Door, engine: ScriptedEngine) -> None:
    """Everybody leaves in the end; the request was answered, and its engine's connection stays."""
    engine.script(WHOLE)
    await door.post(CHAT)
    await eventually(lambda: door.listener.num_connections == 0)
    assert ["ok"] == [one.labels["code"] for one in door.sink.of(REQUESTS)]
    assert 1 == engine.num_open
