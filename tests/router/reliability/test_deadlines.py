"""router.reliability.deadlines: the model's, the client's, and what each of them ends."""

import asyncio

import pytest
from door import Door, OpenDoor
from polling import eventually
from scripted_engine import ScriptedEngine
from wire import CHAT, CHAT_STREAM, EMBEDDING, STREAM, STREAM_HEAD, WHOLE, chunk, token

from cache.memory_store import MemoryStore
from configs.reliability import DeadlinePolicy, ReliabilityPolicy
from configs.router import RequestSettings
from router.errors import InvalidRequest
from router.http.asgi import Scope
from router.reliability.deadlines import USUAL_DEADLINES, Deadlines, total_of


def with_deadlines(door: Door, **deadlines: float) -> None:
    door.set_reliability(ReliabilityPolicy(deadlines=DeadlinePolicy(**deadlines)))


def scope_with(value: str) -> Scope:
    return {"type": "http", "headers": [(b"x-request-timeout-s", value.encode())]}


def test_a_model_has_those_of_all_requests_unless_it_has_its_own() -> None:
    """Each by itself."""
    requests = RequestSettings(replica_wait_s=1, first_byte_timeout_s=2, stall_timeout_s=3)
    assert Deadlines(1, 2, 3, None) == Deadlines.of(DeadlinePolicy(), requests)
    assert Deadlines(1, 5, 3, 9) == Deadlines.of(DeadlinePolicy(first_token_s=5, total_s=9), requests)


@pytest.mark.parametrize(
    ("given", "model", "expected"), [("3", None, 3.0), ("0.5", 2.0, 0.5), ("5", 2.0, 2.0), ("1e300", None, 86_400.0)]
)
def test_a_client_may_ask_for_less(given: str, model: float | None, expected: float) -> None:
    """Never for more."""
    deadlines = Deadlines(1, 1, 1, model)
    assert expected == total_of(scope_with(given), deadlines)


@pytest.mark.parametrize("given", ["", "soon", "0", "-1", "nan", "inf"])
def test_a_clients_deadline_is_a_number_of_seconds(given: str) -> None:
    """Anything else is refused, and the header named."""
    with pytest.raises(InvalidRequest) as refused:
        total_of(scope_with(given), USUAL_DEADLINES)
    assert "x-request-timeout-s" == refused.value.param


async def test_the_total_ends_a_request_that_has_not_begun(door: Door, engine: ScriptedEngine) -> None:
    """504, which says which deadline passed; the engine sees its client go."""
    engine.script(asyncio.Event())
    with_deadlines(door, total_s=0.1)
    answer = await door.post(CHAT)
    assert (504, "engine_timeout") == (answer.status, answer.error["code"])
    assert "The answer was not complete within 0.1 s, the total of this request." == answer.error["message"]
    await eventually(lambda: engine.num_open == 0)


async def test_the_total_ends_a_stream_that_has_begun(door: Door, engine: ScriptedEngine) -> None:
    """However lively it is, by an error event; it is not resumed."""
    engine.script(STREAM_HEAD, *[chunk(token("a"))] * 3, asyncio.Event())
    answer = await door.post(CHAT_STREAM, headers={"x-request-timeout-s": "1"})
    assert ("engine_timeout", True) == (answer.error_event["code"], token("a") in answer.body)
    await eventually(lambda: engine.num_open == 0)
    assert 1 == len(engine.requests)


async def test_the_total_ends_the_wait_for_a_replica(open_door: OpenDoor) -> None:
    """The queue has a deadline of its own, which is longer here."""
    door = await open_door(RequestSettings(replica_wait_s=60))
    answer = await door.post(EMBEDDING, "/v1/embeddings", {"x-request-timeout-s": "0.05"})
    assert (504, "engine_timeout") == (answer.status, answer.error["code"])


async def test_the_queue_has_a_deadline(open_door: OpenDoor) -> None:
    """503, for the client may come again."""
    door = await open_door(RequestSettings(replica_wait_s=60))
    with_deadlines(door, queue_s=0.05)
    answer = await door.post(CHAT)
    assert (503, "No replica of the model 'm' was ready within 0.05 s.") == (answer.status, answer.error["message"])


async def test_a_stream_that_does_not_begin_is_asked_of_another(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The model's own deadline for the first token; the first engine stops."""
    engine.script(asyncio.Event())
    other_engine.script(STREAM)
    door.serve_with(other_engine.replica("second"), engine.replica("first"))
    with_deadlines(door, first_token_s=1)
    answer = await door.post(CHAT_STREAM)
    assert (200, True) == (answer.status, token("Hel") in answer.body)
    await eventually(lambda: engine.num_open == 0)


async def test_where_there_is_no_other_the_first_token_is_not_waited_for(door: Door, engine: ScriptedEngine) -> None:
    """504 at once: a replica that comes later would take its time as well."""
    engine.script(asyncio.Event())
    with_deadlines(door, first_token_s=0.1)
    answer = await door.post(CHAT_STREAM)
    message = "The engine did not begin its answer within 0.1 s."
    assert (504, message) == (answer.status, answer.error["message"])


async def test_silence_has_a_deadline(door: Door, engine: ScriptedEngine) -> None:
    """Between two tokens of a stream."""
    engine.script(STREAM_HEAD, chunk(token("a")), asyncio.Event())
    with_deadlines(door, between_tokens_s=0.1)
    answer = await door.post({**CHAT_STREAM, "n": 2})
    assert "The engine fell silent for 0.1 s within its answer." == answer.error_event["message"]


async def test_a_clients_deadline_is_its_own(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Whoever shares its generation has as long as before."""
    door = await open_door(store=MemoryStore(1_000_000, 4096))
    door.serve_with(engine.replica("r1"))
    go = asyncio.Event()
    engine.script(go, WHOLE)
    body = {**CHAT, "temperature": 0}
    hasty = asyncio.create_task(door.post(body, headers={"x-request-timeout-s": "1.5"}))
    await eventually(lambda: engine.requests)
    patient = asyncio.create_task(door.post(body))
    assert 504 == (await hasty).status
    go.set()
    assert (200, 1) == ((await patient).status, len(engine.requests))
