"""A second replica for streams whose first is slow to begin, through a router's own socket."""

import asyncio

import pytest
import pytest_asyncio
from door import Door
from polling import eventually
from scripted_engine import Ending, ScriptedEngine, Step
from wire import CHAT, CHAT_STREAM, DONE, LAST_CHUNK, STOP, STREAM, STREAM_HEAD, TOKENS, WHOLE, chunk, token, whole

from configs.reliability import HedgingPolicy, ReliabilityPolicy, RetryPolicy
from router.metrics import HEDGES, REFUSED_RETRIES, REQUESTS, RETRIES
from router.reliability.records import ModelRecord

OTHERS = STREAM_HEAD + chunk(token("other") + STOP + DONE) + LAST_CHUNK


@pytest_asyncio.fixture
async def hedging(door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine) -> Door:
    """A router that hedges after 50 ms, over two replicas: `engine` is asked first."""
    door.serve_with(other_engine.replica("second"), engine.replica("first"))
    door.set_reliability(ReliabilityPolicy(hedging=HedgingPolicy(enabled=True, delay_ms=50)))
    return door


async def test_the_second_answers_for_a_slow_first(
    hedging: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The client gets its answer, and the first engine sees its client go."""
    engine.script(asyncio.Event())
    other_engine.script(OTHERS)
    answer = await hedging.post(CHAT_STREAM)
    assert token("other") + STOP + DONE == answer.body
    await eventually(lambda: engine.num_open == 0)
    assert (1, 1) == (
        hedging.sink.total(HEDGES, replica="second", outcome="won"),
        hedging.sink.total(REQUESTS, replica="second", code="ok"),
    )
    assert (0, 0) == (hedging.num_running, hedging.sink.total(RETRIES))


async def test_who_lost_is_counted_no_longer(
    hedging: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """From the winner's first token on, and not to its last, which may be minutes later."""
    go = asyncio.Event()
    engine.script(asyncio.Event())
    other_engine.script(STREAM_HEAD, chunk(token("a")), go, chunk(STOP + DONE), LAST_CHUNK)
    with await hedging.client() as client:
        await client.post(CHAT_STREAM)
        await client.until(token("a"))
        await eventually(lambda: hedging.num_running == 1)
        second, first = hedging.replicas
        assert (1, 0, 0) == (second.num_running, first.num_running, first.num_prefill_bytes)
        go.set()
        await client.until(LAST_CHUNK)


async def test_the_first_may_still_win(hedging: Door, engine: ScriptedEngine, other_engine: ScriptedEngine) -> None:
    """It begins after the second was asked; the second is aborted, and its words reach nobody."""
    asked = asyncio.Event()
    engine.script(asked, STREAM_HEAD, chunk(TOKENS), chunk(DONE), LAST_CHUNK)
    other_engine.script(asyncio.Event(), OTHERS)
    asking = asyncio.create_task(hedging.post(CHAT_STREAM))
    await eventually(lambda: other_engine.requests)
    asked.set()
    assert TOKENS + DONE == (await asking).body
    await eventually(lambda: other_engine.num_open == 0)
    await eventually(lambda: hedging.sink.total(HEDGES, replica="second", outcome="lost") == 1)


async def test_a_quick_first_has_no_second(hedging: Door, engine: ScriptedEngine, other_engine: ScriptedEngine) -> None:
    """Nor has one that has begun and then takes its time."""
    hedging.set_reliability(ReliabilityPolicy(hedging=HedgingPolicy(enabled=True, delay_ms=1500)))
    loop, go = asyncio.get_running_loop(), asyncio.Event()
    engine.script(STREAM_HEAD, chunk(token("a")), go, chunk(DONE), LAST_CHUNK)
    with await hedging.client() as client:
        await client.post(CHAT_STREAM)
        await client.until(token("a"))
        begun_at = loop.time()
        await eventually(lambda: loop.time() > begun_at + 1.6)  # beyond the delay, which must not matter any more
        go.set()
        await client.until(b"0\r\n\r\n")
    assert [] == other_engine.requests


async def test_nobody_is_hedged_with_a_suspect(
    hedging: Door, engine: ScriptedEngine, other_engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that stands still would give no answer, and the budget would be spent; where both are suspects it may."""
    monkeypatch.setattr("router.reliability.suspicion.FIRST_PAUSE_S", 600.0)
    monkeypatch.setattr("router.reliability.suspicion.MAX_PAUSE_S", 600.0)
    second, first = hedging.replicas
    second.suspicion.suspect(hedging.state.loop.time())
    go = asyncio.Event()
    engine.script(go, STREAM)
    asking = asyncio.create_task(hedging.post(CHAT_STREAM))
    await eventually(lambda: engine.requests)
    for _ in range(5):
        await asyncio.sleep(0.02)  # beyond the delay
    go.set()
    assert (200, []) == ((await asking).status, other_engine.requests)
    first.suspicion.suspect(hedging.state.loop.time())
    engine.script(asyncio.Event())
    other_engine.script(OTHERS)
    assert token("other") + STOP + DONE == (await hedging.post(CHAT_STREAM)).body


async def test_whole_answers_are_not_hedged(
    hedging: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """They begin with their end, so that each slow one would be made twice."""
    go = asyncio.Event()
    engine.script(go, WHOLE)
    asking = asyncio.create_task(hedging.post(CHAT))
    await eventually(lambda: engine.requests)
    for _ in range(5):
        await asyncio.sleep(0.02)  # beyond the delay
    go.set()
    assert (200, []) == ((await asking).status, other_engine.requests)


async def test_hedges_are_paid_from_the_retry_budget(
    hedging: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Where that is spent, the first is waited for."""
    policy = HedgingPolicy(enabled=True, delay_ms=20)
    hedging.set_reliability(ReliabilityPolicy(hedging=policy, retries=RetryPolicy(max_ratio=0, min_retries=0)))
    go = asyncio.Event()
    engine.script(go, STREAM)
    asking = asyncio.create_task(hedging.post(CHAT_STREAM))
    await eventually(lambda: hedging.sink.total(REFUSED_RETRIES))
    go.set()
    assert (200, []) == ((await asking).status, other_engine.requests)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([Ending.RESET], [OTHERS], (200, True)),
        ([STREAM], [Ending.RESET], (200, True)),
        ([Ending.RESET], [Ending.RESET], (503, False)),
        ([whole({"error": {"message": "bad"}}, 400)], [asyncio.Event()], (400, False)),
    ],
    ids=["first fails", "second fails", "both fail", "first is refused"],
)
async def test_when_one_of_two_fails_the_other_counts(
    first: list[Step],
    second: list[Step],
    expected: tuple[int, bool],
    hedging: Door,
    engine: ScriptedEngine,
    other_engine: ScriptedEngine,
) -> None:
    """The client is only told of a failure that both have, or that is its own."""
    go = asyncio.Event()
    engine.script(go, *first)
    engine.otherwise = first
    other_engine.otherwise = second
    asking = asyncio.create_task(hedging.post(CHAT_STREAM))
    await eventually(lambda: other_engine.requests)
    go.set()
    answer = await asking
    assert expected == (answer.status, answer.body.endswith(DONE))
    await eventually(lambda: 0 == hedging.num_running)


async def test_a_client_that_leaves_stops_both(
    hedging: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Neither engine goes on for nobody."""
    engine.script(asyncio.Event())
    other_engine.script(asyncio.Event())
    client = await hedging.client()
    await client.post(CHAT_STREAM)
    await eventually(lambda: engine.requests and other_engine.requests)
    client.leave()
    await eventually(lambda: engine.num_open == other_engine.num_open == hedging.num_running == 0)


def test_the_delay_is_what_most_streams_take() -> None:
    """95 in 100 of the last ones; and nothing while there are too few to say."""
    record = ModelRecord()
    delays = []
    for index in range(100):
        delays.append(record.slow_s(1000))
        record.note_first_token(1000, index / 100)
    assert ([None] * 20, 0.95) == (delays[:20], record.slow_s(1000))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({}, 0.4), ({"delay_factor": 1}, 0.2), ({"min_delay_ms": 500}, 0.5), ({"delay_ms": 30}, 0.03)],
    ids=["twice that", "as many times as is set", "the shortest", "what is set"],
)
def test_a_stream_is_hedged_when_it_is_later_than_chance(fields: dict[str, float], expected: float) -> None:
    """One in twenty is later than 95 in 100 of those before it, where all is well: that alone is no reason."""
    record = ModelRecord()
    for _ in range(100):
        record.note_first_token(1000, 0.2)
    assert expected == record.hedge_after_s(1000, HedgingPolicy.model_validate(fields))


def test_without_a_delay_that_is_set_the_first_streams_are_not_hedged() -> None:
    """Nobody knows what is late."""
    delays = [ModelRecord().hedge_after_s(1000, policy) for policy in (HedgingPolicy(), HedgingPolicy(delay_ms=30))]
    assert [None, 0.03] == delays


def test_a_long_prompt_is_compared_with_its_like() -> None:
    """It takes its time with any replica, so what short ones take says nothing of it."""
    record = ModelRecord()
    for _ in range(100):
        record.note_first_token(1000, 0.02)
    before = record.slow_s(100_000)
    for _ in range(20):
        record.note_first_token(100_000, 1.5)
    assert (None, 1.5, 0.02) == (before, record.slow_s(90_000), record.slow_s(600))


async def test_a_long_prompt_is_not_hedged_after_what_short_ones_take(
    hedging: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Where no delay is set, a request is hedged by what those of its size took; here there was none of its size."""
    hedging.set_reliability(ReliabilityPolicy(hedging=HedgingPolicy(enabled=True)))
    engine.otherwise = other_engine.otherwise = [STREAM]
    for _ in range(20):
        await hedging.post(CHAT_STREAM)
    go = asyncio.Event()
    engine.script(go, STREAM)
    other_engine.script(go, STREAM)
    long = {**CHAT_STREAM, "messages": [{"role": "user", "content": "word " * 20_000}]}
    asking = asyncio.create_task(hedging.post(long))
    await eventually(lambda: len(engine.requests) + len(other_engine.requests) == 21)
    for _ in range(5):
        await asyncio.sleep(0.02)  # far beyond what the short ones took
    go.set()
    assert (200, 21) == ((await asking).status, len(engine.requests) + len(other_engine.requests))
