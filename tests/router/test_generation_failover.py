"""router.generation: over as many replicas as it takes, and what a client sees while it waits."""

import asyncio

import pytest
from door import Door, OpenDoor, free_port
from polling import eventually
from scripted_engine import Ending, ScriptedEngine, Step
from wire import (
    CHAT,
    CHAT_STREAM,
    DONE,
    LAST_CHUNK,
    STREAM,
    STREAM_HEAD,
    TOKENS,
    WHOLE,
    chunk,
    token,
    whole,
)

from configs.reliability import BreakerPolicy, ReliabilityPolicy
from configs.router import RequestSettings
from router.metrics import REQUESTS, RETRIES
from router.replicas.registry import Replica

LONG_PAUSES = ReliabilityPolicy(circuit_breaker=BreakerPolicy(first_pause_ms=600_000, max_pause_ms=600_000))
OVERLOADED = whole({"error": {"message": "queue is full"}}, 503)
KEEP_ALIVE = b": keep-alive\n\n"


def unreachable(replica_id: str) -> Replica:
    """A replica at whose port nobody listens."""
    return Replica(replica_id, "m", "127.0.0.1", free_port(), "secret", "llama_cpp", "llama_cpp")


def break_then_serve(door: Door, broken: ScriptedEngine, good: ScriptedEngine, *steps: Step) -> None:
    """Two replicas: the one whose turn is first does `steps`, the other answers well."""
    broken.otherwise = steps
    good.otherwise = [WHOLE]
    door.serve_with(good.replica("good"), broken.replica("broken"))


# another replica


@pytest.mark.parametrize(
    "steps",
    [
        [Ending.RESET],
        [Ending.CLOSE],
        [b"HTTP/1.1 200 OK\r\ncontent-", Ending.CLOSE],
        [STREAM_HEAD, Ending.CLOSE],
        [STREAM_HEAD, chunk(token("half")[:20]), Ending.CLOSE],
        [WHOLE[:-5], Ending.CLOSE],
        [WHOLE[:-5], Ending.RESET],
        [b"\x15\x03\x03\x00\x02\x02\x28"],
        [OVERLOADED],
    ],
    ids=[
        "reset before its head", "closed before its head", "closed within its head", "closed after its head",
        "closed within its first event", "closed within its body", "reset within its body", "not HTTP", "overloaded",
    ],
)  # fmt: skip
async def test_another_replica_answers_when_the_client_has_nothing_yet(
    steps: list[Step], door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The client sees one good answer; the metrics see one retry."""
    break_then_serve(door, engine, other_engine, *steps)
    answer = await door.post(CHAT)
    assert (200, 1, 1) == (answer.status, len(engine.requests), len(other_engine.requests))
    assert 1 == door.sink.total(RETRIES, replica="broken")
    assert 1 == door.sink.total(REQUESTS, replica="good", code="ok")
    assert [0, 0] == [replica.num_running for replica in door.replicas]


async def test_a_stream_may_begin_on_another_replica(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """An engine that ends after the head of a stream has not begun it for the client."""
    engine.otherwise = [STREAM_HEAD, Ending.CLOSE]
    other_engine.otherwise = [STREAM]
    door.serve_with(other_engine.replica("good"), engine.replica("broken"))
    assert TOKENS + DONE == (await door.post(CHAT_STREAM)).body


async def test_a_stream_that_has_begun_stays_where_it_is(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """A second engine that cannot go on with a text would begin another answer."""
    engine.otherwise = [STREAM_HEAD, chunk(TOKENS), Ending.CLOSE]
    door.serve_with(other_engine.replica("good", profile="front"), engine.replica("broken", profile="front"))
    assert "engine_failed" == (await door.post(CHAT_STREAM)).error_event["code"]
    assert [] == other_engine.requests
    assert 0 == door.sink.total(RETRIES)


async def test_an_unreachable_replica_is_passed_by(door: Door, engine: ScriptedEngine) -> None:
    """The first request finds out, and the next ones know."""
    door.set_reliability(LONG_PAUSES)
    engine.otherwise = [WHOLE]
    door.serve_with(engine.replica("good"), unreachable("gone"))
    assert [200] * 6 == [(await door.post(CHAT)).status for _ in range(6)]
    assert 1 == door.sink.total(RETRIES, replica="gone", reason="engine_unavailable")


async def test_a_connection_that_dies_after_its_head_blocks_its_replica(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """It makes no difference whether the connection had served before."""
    door.set_reliability(LONG_PAUSES)
    engine.script(WHOLE)
    engine.otherwise = [STREAM_HEAD, Ending.RESET]
    other_engine.otherwise = [WHOLE]
    door.serve_with(engine.replica("r1"))
    await door.post(CHAT)
    door.serve_with(other_engine.replica("r2"), door.replicas[0])
    answers = [await door.post(CHAT) for _ in range(4)]
    assert [200] * 4 == [answer.status for answer in answers]
    assert 1 == door.sink.total(RETRIES, replica="r1")


@pytest.mark.parametrize("steps", [[Ending.RESET], [Ending.CLOSE]])
async def test_when_every_replica_fails_the_client_is_told(
    steps: list[Step], door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """503 after waiting for a new replica in vain; with the time after which to come again."""
    engine.otherwise = other_engine.otherwise = steps
    door.serve_with(engine.replica("r1"), other_engine.replica("r2"))
    answer = await door.post(CHAT)
    assert (503, "engine_unavailable", "1") == (answer.status, answer.error["code"], answer.headers["retry-after"])
    assert (1, 1) == (len(engine.requests), len(other_engine.requests))


async def test_a_retry_is_counted_when_another_replica_is_tried(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Of two failures in a row, the second is the end and no retry."""
    engine.otherwise = other_engine.otherwise = [Ending.RESET]
    door.serve_with(engine.replica("r1"), other_engine.replica("r2"))
    await door.post(CHAT)
    assert 1 == door.sink.total(RETRIES)


async def test_when_every_replica_is_overloaded_nobody_waits(
    open_door: OpenDoor, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """A new replica will not come of that, so the limit of 600 s plays no part."""
    door = await open_door(RequestSettings(replica_wait_s=600))
    engine.otherwise = other_engine.otherwise = [OVERLOADED]
    door.serve_with(engine.replica("r1"), other_engine.replica("r2"))
    answer = await door.post(CHAT)
    assert (503, "engine_overloaded", "1") == (answer.status, answer.error["code"], answer.headers["retry-after"])
    assert (1, 1) == (len(engine.requests), len(other_engine.requests))


async def test_the_number_of_attempts_is_limited(open_door: OpenDoor) -> None:
    """A request does not walk over a whole broken fleet."""
    door = await open_door(RequestSettings(max_attempts=2, replica_wait_s=600))
    door.serve_with(*[unreachable(f"r{index}") for index in range(5)])
    assert 503 == (await door.post(CHAT)).status
    assert 2 == sum(replica.blocked_until > 0 for replica in door.replicas)


async def test_a_new_replica_takes_over_from_one_that_died(
    open_door: OpenDoor, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The only replica dies under the request; Serve starts another; the request has waited for it."""
    door = await open_door(RequestSettings(replica_wait_s=600))
    engine.otherwise = [Ending.RESET]
    other_engine.otherwise = [WHOLE]
    door.serve_with(engine.replica("r1"))
    asking = asyncio.ensure_future(door.post(CHAT))
    await eventually(lambda: door.replicas[0].blocked_until > 0)
    door.serve_with(other_engine.replica("r2"))
    assert 200 == (await asking).status


# a fallback


async def test_a_fallback_is_not_asked_while_the_model_has_a_replica(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """However many requests there are."""
    door.fall_back_on(other_engine.replica("f1"))
    engine.otherwise = other_engine.otherwise = [WHOLE]
    answers = [await door.post(CHAT) for _ in range(4)]
    assert ([200] * 4, 4, 0) == ([one.status for one in answers], len(engine.requests), len(other_engine.requests))


async def test_a_fallback_answers_for_a_model_without_replicas(door: Door, other_engine: ScriptedEngine) -> None:
    """At once, and the model is listed with what the fallback has."""
    door.serve_with()
    door.fall_back_on(other_engine.replica("f1"))
    other_engine.otherwise = [WHOLE]
    answer = await door.post(CHAT)
    health = await door.ask("GET", "/health")
    assert (200, b'"m":1' in health.body) == (answer.status, True)


@pytest.mark.parametrize("steps", [[Ending.RESET], [OVERLOADED]], ids=["reset", "overloaded"])
async def test_a_fallback_answers_for_a_replica_that_does_not(
    steps: list[Step], door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """As another replica would."""
    engine.otherwise, other_engine.otherwise = steps, [WHOLE]
    door.fall_back_on(other_engine.replica("f1"))
    answer = await door.post(CHAT)
    assert (200, 1, 1) == (answer.status, len(engine.requests), len(other_engine.requests))


@pytest.mark.parametrize("steps", [[Ending.RESET], [OVERLOADED]], ids=["reset", "overloaded"])
async def test_the_last_attempt_is_a_fallbacks(
    steps: list[Step], door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """However many replicas the model has: where two of them failed, the third would hardly do better."""
    door.serve_with(*[engine.replica(f"r{number}") for number in range(4)])
    door.fall_back_on(other_engine.replica("f1"))
    engine.otherwise, other_engine.otherwise = steps, [WHOLE]
    answer = await door.post(CHAT)
    assert (200, 2, 1) == (answer.status, len(engine.requests), len(other_engine.requests))


async def test_where_the_fallback_has_no_replica_the_last_attempt_is_the_models(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Its third replica answers."""
    door.serve_with(other_engine.replica("good"), engine.replica("r1"), engine.replica("r2"))
    door.fall_back_on()
    engine.otherwise, other_engine.otherwise = [OVERLOADED], [WHOLE]
    statuses = [(await door.post(CHAT)).status for _ in range(3)]
    assert [200] * 3 == statuses


@pytest.mark.parametrize("has_replica", [True, False], ids=["lost", "none"])
async def test_a_fallback_that_cannot_do_it_is_none(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine, *, has_replica: bool
) -> None:
    """The client is told to come again, and not that its model cannot do what it can."""
    engine.otherwise = [Ending.RESET]
    door.fall_back_on(other_engine.replica("f1", task="embed"))
    if not has_replica:
        door.serve_with()
    answer = await door.post(CHAT)
    assert (503, []) == (answer.status, other_engine.requests)


async def test_a_replica_that_just_failed_comes_after_a_fallback(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The second request does not try it first."""
    engine.otherwise, other_engine.otherwise = [Ending.RESET], [WHOLE]
    door.fall_back_on(other_engine.replica("f1"))
    answers = [await door.post(CHAT) for _ in range(2)]
    assert ([200, 200], 1) == ([one.status for one in answers], len(engine.requests))


async def test_a_request_that_waits_takes_the_fallback_that_comes(
    open_door: OpenDoor, other_engine: ScriptedEngine
) -> None:
    """Whichever is ready first serves it."""
    door = await open_door(RequestSettings(replica_wait_s=20))
    door.fall_back_on()
    other_engine.otherwise = [WHOLE]
    waiting = asyncio.create_task(door.post(CHAT))
    await eventually(lambda: door.state.generations)
    door.fall_back_on(other_engine.replica("f1"))
    assert 200 == (await waiting).status


# no replica


async def test_a_request_waits_for_a_replica(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """A model that is still loading is worth waiting for."""
    door = await open_door(RequestSettings(replica_wait_s=600))
    engine.script(WHOLE)
    asking = asyncio.ensure_future(door.post(CHAT))
    await eventually(lambda: door.state.generations)
    door.serve_with()
    door.serve_with(engine.replica("r1"))
    assert 200 == (await asking).status


async def test_nobody_waits_for_ever(open_door: OpenDoor) -> None:
    """503 with the time after which to come again."""
    door = await open_door(RequestSettings(replica_wait_s=0.05))
    answer = await door.post(CHAT)
    assert (503, "engine_unavailable", "5") == (answer.status, answer.error["code"], answer.headers["retry-after"])
    assert "No replica of the model 'm' was ready within 0.05 s." == answer.error["message"]


# early headers


async def early_door(open_door: OpenDoor, engine: ScriptedEngine) -> Door:
    """A router that sends the headers of a stream ahead after 10 ms."""
    door = await open_door(RequestSettings(early_headers_s=0.01, replica_wait_s=0.3))
    door.serve_with(engine.replica("r1"))
    return door


async def test_a_late_stream_is_kept_alive(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Headers and comments go ahead; the answer follows and is whole."""
    door = await early_door(open_door, engine)
    gate = asyncio.Event()
    engine.script(gate, STREAM)
    with await door.client() as client:
        await client.post(CHAT_STREAM)
        head = await client.until(KEEP_ALIVE)
        assert b"HTTP/1.1 200 OK" in head
        assert b"text/event-stream" in head
        await client.until(KEEP_ALIVE)
        gate.set()
        rest = await client.until(b"0\r\n\r\n")
        assert token("Hel") in rest
        assert DONE in rest


async def test_after_early_headers_a_failure_is_an_error_event(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """There is no status left to send: the event says it, and the connection is cut."""
    door = await early_door(open_door, engine)
    gate = asyncio.Event()
    engine.script(gate, whole({"error": {"message": "bad grammar"}}, 400))
    with await door.client() as client:
        await client.post(CHAT_STREAM)
        await client.until(KEEP_ALIVE)
        gate.set()
        rest = await client.ended()
    assert b'data: {"error":{"message":"bad grammar","type":"invalid_request_error"' in rest
    assert b"[DONE]" not in rest
    assert not rest.endswith(b"0\r\n\r\n")


async def test_early_headers_do_not_keep_a_request_from_another_replica(
    open_door: OpenDoor, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """A comment is no part of an answer."""
    door = await early_door(open_door, engine)
    gate = asyncio.Event()
    engine.script(gate, Ending.RESET)
    other_engine.script(STREAM)
    door.serve_with(other_engine.replica("r2"), door.replicas[0])
    with await door.client() as client:
        await client.post(CHAT_STREAM)
        await client.until(KEEP_ALIVE)
        gate.set()
        assert DONE in await client.until(b"0\r\n\r\n")


async def test_who_waits_for_a_replica_is_kept_alive(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Early headers do not need a replica; the error is an event then."""
    door = await early_door(open_door, engine)
    door.serve_with()
    answer = await door.post(CHAT_STREAM)
    assert (200, "engine_unavailable") == (answer.status, answer.error_event["code"])
    assert answer.body.startswith(KEEP_ALIVE)


async def test_a_request_for_a_whole_answer_has_no_early_headers(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Its status is still open, so it waits without a word."""
    door = await early_door(open_door, engine)
    gate = asyncio.Event()
    engine.script(gate, whole({"error": {"message": "bad"}}, 400))
    asking = asyncio.ensure_future(door.post(CHAT))
    await eventually(lambda: engine.requests)
    now = door.state.loop.time()
    for generation in door.state.generations:
        generation.tick(now + 100)
    gate.set()
    assert 400 == (await asking).status


async def test_a_stream_that_has_begun_gets_no_comments(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Tokens are sign enough, and a pause within them is the engine's own."""
    door = await early_door(open_door, engine)
    gate = asyncio.Event()
    engine.script(STREAM_HEAD, chunk(token("a")), gate, chunk(DONE), LAST_CHUNK)
    with await door.client() as client:
        await client.post(CHAT_STREAM)
        await client.until(token("a"))
        for generation in door.state.generations:
            generation.tick(door.state.loop.time() + 100)
        gate.set()
        assert KEEP_ALIVE not in await client.until(b"0\r\n\r\n")
