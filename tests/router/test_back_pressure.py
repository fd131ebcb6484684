"""Clients that read more slowly than engines write, over real sockets."""

import asyncio

from door import Door, OpenDoor
from polling import eventually
from scripted_engine import ScriptedEngine
from wire import CHAT, CHAT_STREAM, DONE, LAST_CHUNK, STREAM_HEAD, WHOLE, chunk, event, whole

from configs.router import RequestSettings
from router.metrics import REQUESTS

SMALL_BUFFER_BYTES = 16_384
EVENTS = [event({"index": index, "choices": [{"delta": {"content": "x" * 8000}}]}) for index in range(4000)]
LONG_STREAM = [STREAM_HEAD, *map(chunk, EVENTS), chunk(DONE), LAST_CHUNK]
LONG_STREAM_BYTES = sum(map(len, LONG_STREAM))
LONG_WHOLE = whole({"choices": [{"message": {"content": "x" * 16_000_000}}]})
MEGABYTE = 1_000_000


def is_full(door: Door) -> bool:
    """Whether the router waits for a client."""
    return any(one._answer.full_since is not None for one in door.state.generations)  # type: ignore[attr-defined]


async def stuck_engine(engine: ScriptedEngine) -> int:
    """How much the kernel has taken of the engine, once it takes no more."""
    [connection] = engine.connections
    sent = -1
    while sent != connection.num_bytes_sent:
        sent = connection.num_bytes_sent
        for _ in range(50):
            await asyncio.sleep(0.002)
    return sent


async def test_a_client_that_stops_reading_stops_the_engine(door: Door, engine: ScriptedEngine) -> None:
    """The router keeps less than a megabyte, the engine is held up, and the client misses nothing in the end."""
    engine.script(*LONG_STREAM)
    with await door.client(SMALL_BUFFER_BYTES) as client:
        await client.post(CHAT_STREAM)
        await eventually(lambda: is_full(door))
        num_sent = await stuck_engine(engine)
        assert MEGABYTE > door.num_buffered_bytes
        assert LONG_STREAM_BYTES / 2 > num_sent
        answer = await client.answer()
    assert answer.is_whole
    assert b"".join(EVENTS) + DONE == answer.body
    assert 0 == door.num_running


async def test_a_slow_client_does_not_hold_up_another(door: Door, engine: ScriptedEngine) -> None:
    """Back-pressure is a matter of one request."""
    engine.script(*LONG_STREAM)
    engine.script(*LONG_STREAM)
    with await door.client(SMALL_BUFFER_BYTES) as slow:
        await slow.post(CHAT_STREAM)
        await eventually(lambda: is_full(door))
        assert (await door.post(CHAT_STREAM)).is_whole


async def test_a_client_that_leaves_while_it_is_full_frees_the_engine(door: Door, engine: ScriptedEngine) -> None:
    """Nobody waits for it to read."""
    engine.script(*LONG_STREAM)
    with await door.client(SMALL_BUFFER_BYTES) as client:
        await client.post(CHAT_STREAM)
        await eventually(lambda: is_full(door))
        client.leave(with_reset=True)
        await eventually(lambda: engine.num_open == 0)
    await eventually(lambda: not door.state.generations)
    assert 0 == door.num_running


async def test_a_client_that_never_reads_again_is_dropped(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """After the time that an engine may be silent: the engine is free again, and so is the client's connection."""
    door = await open_door(RequestSettings(stall_timeout_s=0.2))
    door.serve_with(engine.replica("r1"))
    engine.script(*LONG_STREAM)
    with await door.client(SMALL_BUFFER_BYTES) as client:
        await client.post(CHAT_STREAM)
        await eventually(lambda: engine.connections and engine.num_open == 0)
        await eventually(lambda: door.listener.num_connections == 0)
    assert 1 == door.sink.total(REQUESTS, code="client_disconnected")
    assert 0 == door.num_running


async def test_a_client_that_never_takes_its_whole_answer_is_dropped(
    open_door: OpenDoor, engine: ScriptedEngine
) -> None:
    """The engine was done long before; its connection serves others meanwhile."""
    door = await open_door(RequestSettings(stall_timeout_s=0.2))
    door.serve_with(engine.replica("r1"))
    engine.script(LONG_WHOLE)
    engine.script(WHOLE)
    with await door.client(SMALL_BUFFER_BYTES) as client:
        await client.post(CHAT)
        await eventually(lambda: door.sink.total(REQUESTS, code="ok") == 1)
        assert 200 == (await door.post(CHAT)).status
        assert 1 == len(engine.connections)
        await eventually(lambda: door.listener.num_connections == 0)


async def test_a_client_that_does_not_take_its_error_event_is_dropped(
    open_door: OpenDoor, engine: ScriptedEngine
) -> None:
    """The engine dies while the client is full; closing waits for a client that never reads, but not for ever."""
    door = await open_door(RequestSettings(stall_timeout_s=0.2))
    door.serve_with(engine.replica("r1"))
    engine.script(STREAM_HEAD, chunk(b"".join(EVENTS)[: 8 * MEGABYTE]), LAST_CHUNK)
    with await door.client(SMALL_BUFFER_BYTES) as client:
        await client.post(CHAT_STREAM)
        await eventually(lambda: engine.requests)
        await eventually(lambda: not door.state.generations)
        await eventually(lambda: door.listener.num_connections == 0)


async def test_a_slow_client_that_reads_is_not_dropped(door: Door, engine: ScriptedEngine) -> None:
    """Each look finds it a little further on, however long the whole takes."""
    engine.script(LONG_WHOLE)
    with await door.client(SMALL_BUFFER_BYTES) as client:
        await client.post(CHAT)
        await eventually(lambda: door.num_buffered_bytes > MEGABYTE)
        [connection] = door.connections
        assert door.listener._sweeper is not None
        door.listener._sweeper.cancel()  # the looks are this test's own
        now = door.state.loop.time()
        for _ in range(4):
            num_buffered_bytes = door.num_buffered_bytes
            while door.num_buffered_bytes == num_buffered_bytes:
                await client.until(b"x" * 50_000)
            now += 0.9
            connection.expire(now, 1)
            assert not connection.transport.is_closing()
