"""router.load.first_tokens and router_load: how streams began lately."""

import asyncio

from door import APPLICATION, Door
from polling import eventually
from scripted_engine import ScriptedEngine
from wire import CHAT, CHAT_STREAM, STREAM, WHOLE

from router.load.first_tokens import WINDOW_S, FirstTokens, FirstTokenTimes, together
from router.load.report import RouterLoad


def test_nine_of_ten_began_within_the_time_that_is_told() -> None:
    """Each application has its own."""
    times = FirstTokenTimes()
    for number in range(1, 11):
        times.note("small", 0.0, float(number))
    times.note("large", 0.0, 7.0)
    assert {"small": FirstTokens(10, 9.0), "large": FirstTokens(1, 7.0)} == times.lately(1.0)


def test_what_was_long_ago_does_not_count() -> None:
    """A model that nobody asks for says nothing."""
    times = FirstTokenTimes()
    times.note("small", 0.0, 5.0)
    times.note("small", 8.0, 1.0)
    assert {"small": FirstTokens(1, 1.0)} == times.lately(WINDOW_S + 1.0)
    assert {} == times.lately(WINDOW_S + 9.0)


def test_what_came_before_a_new_replica_does_not_count() -> None:
    """Neither what has begun before it, nor what had waited for its turn: they would ask for another one."""
    times = FirstTokenTimes()
    times.note("small", 1.0, 0.5)
    times.begin_anew("small", 2.0)
    times.note("small", 3.0, 1.5)
    times.note("small", 4.0, 1.5)
    assert {"small": FirstTokens(1, 1.5)} == times.lately(4.0)


async def test_a_replica_that_joins_begins_anew(door: Door, engine: ScriptedEngine) -> None:
    """One that goes does not."""
    replicas = [engine.replica("r1"), engine.replica("r2")]
    door.serve_with(*replicas[:1])
    engine.otherwise = [STREAM]
    await door.post(CHAT_STREAM)
    door.serve_with(*replicas)
    assert {} == door.state.load().first_tokens
    await door.post(CHAT_STREAM)
    door.serve_with(*replicas[1:])
    assert [APPLICATION] == list(door.state.load().first_tokens)


def test_routers_are_weighed_by_their_streams() -> None:
    """One with a single slow stream does not speak for the others."""
    assert FirstTokens(4, 2.0) == together([FirstTokens(3, 1.0), FirstTokens(1, 5.0)])
    assert together([]) is None


def test_the_doors_of_a_router_say_one_thing() -> None:
    """Requests are added, and streams counted together."""
    own = RouterLoad({"small": 1}, {"small": FirstTokens(1, 1.0)})
    other = RouterLoad({"small": 2, "large": 1}, {"large": FirstTokens(2, 3.0)})
    expected = RouterLoad({"small": 3, "large": 1}, {"small": FirstTokens(1, 1.0), "large": FirstTokens(2, 3.0)})
    assert expected == RouterLoad.of([own, other])
    assert RouterLoad.of([]).is_nothing


def test_only_what_is_asked_for_is_told() -> None:
    """How an application's streams began, where somebody decides by it; the demand for a model always."""
    load = RouterLoad({"small": 1}, {"small": FirstTokens(1, 1.0), "large": FirstTokens(2, 3.0)})
    assert RouterLoad({"small": 1}, {"large": FirstTokens(2, 3.0)}) == load.asked_for({"large"})
    assert RouterLoad({}, {"small": FirstTokens(1, 1.0)}).asked_for(()).is_nothing


async def test_streams_of_clients_are_noted(door: Door, engine: ScriptedEngine) -> None:
    """From the arrival to the first token; whole answers have none, and what may wait is not looked at."""
    engine.script(WHOLE)
    engine.script(STREAM)
    await door.post(CHAT)
    assert {} == door.state.load().first_tokens
    await door.post(CHAT_STREAM, headers={"x-enginehouse-priority": "background"})
    assert {} == door.state.load().first_tokens
    go = asyncio.Event()
    engine.script(go, STREAM)
    asking = asyncio.create_task(door.post(CHAT_STREAM))
    await eventually(lambda: len(engine.requests) == 3)
    seen_at = door.state.loop.time()
    await eventually(lambda: door.state.loop.time() > seen_at)  # the clock has steps
    go.set()
    await asking
    lately = door.state.load().first_tokens[APPLICATION]
    assert 1 == lately.num_streams
    assert lately.ttft_s > 0


async def test_a_stream_that_waited_for_the_first_replica_is_not_noted(door: Door, engine: ScriptedEngine) -> None:
    """The demand for it was told meanwhile; how long a model took to wake would else ask for a second replica."""
    engine.otherwise = [STREAM]
    door.serve_with()
    asking = asyncio.create_task(door.post(CHAT_STREAM))
    await eventually(lambda: door.state.load().demand[APPLICATION] == 1)
    door.serve_with(engine.replica("r1"))
    assert 200 == (await asking).status
    assert {} == door.state.load().first_tokens
    await door.post(CHAT_STREAM)
    assert 1 == door.state.load().first_tokens[APPLICATION].num_streams
