"""Single flight over several routers, through their own sockets, a real Redis, and an engine that answers by script."""

import asyncio

import pytest
from door import Door
from polling import eventually
from raw_client import ClientAnswer
from redis_server import RedisServer
from scripted_engine import Ending, ScriptedEngine
from wire import (
    DONE,
    GREEDY,
    GREEDY_STREAM,
    GREEDY_STREAM_WITH_USAGE,
    LAST_CHUNK,
    STOP,
    STREAM_HEAD,
    USAGE_EVENT,
    WHOLE,
    chunk,
    stream,
    token,
    whole,
)

from router.caching.place import Place, flight_path
from router.metrics import COMPLETION_TOKENS, REQUESTS

ANSWER = token("Hel") + token("lo") + STOP


def outcome(answer: ClientAnswer) -> str:
    return answer.headers["x-enginehouse-cache"]


def script(engine: ScriptedEngine, go: asyncio.Event) -> None:
    """Each request is answered with the same stream, which waits in its middle."""
    engine.otherwise = [
        STREAM_HEAD,
        chunk(token("Hel")),
        go,
        chunk(token("lo") + STOP + USAGE_EVENT + DONE),
        LAST_CHUNK,
    ]


async def start(door: Door, body: object = GREEDY_STREAM) -> asyncio.Task[ClientAnswer]:
    """A client that has asked, and whose router knows what it will do."""
    before = len(door.state.generations)
    asking = asyncio.create_task(door.post(body))
    # the client's, and that of the engine's side
    await eventually(lambda: len(door.state.generations) >= before + (2 if before == 0 else 1))
    return asking


async def test_routers_share_one_generation(routers: list[Door], engine: ScriptedEngine) -> None:
    """Followers get it from its first token, however late they come and wherever; it is counted once."""
    go = asyncio.Event()
    script(engine, go)
    asking = [await start(door, GREEDY_STREAM_WITH_USAGE) for door in routers for _ in range(3)]
    go.set()
    answers = await asyncio.gather(*asking)
    assert (1, ["miss"] + ["joined"] * 8) == (len(engine.requests), [outcome(answer) for answer in answers])
    assert {ANSWER + USAGE_EVENT + DONE} == {answer.body for answer in answers}
    assert (2, 9) == tuple(sum(door.sink.total(metric) for door in routers) for metric in (COMPLETION_TOKENS, REQUESTS))


async def test_the_first_token_does_not_wait_for_the_last(routers: list[Door], engine: ScriptedEngine) -> None:
    """A follower at another router streams as the leader does."""
    go = asyncio.Event()
    script(engine, go)
    leader = await start(routers[0])
    with await routers[1].client() as follower:
        await follower.post(GREEDY_STREAM)
        await follower.until(token("Hel"))
        go.set()
        assert (await leader).body == ANSWER + DONE


async def test_whole_answers_are_shared_too(routers: list[Door], engine: ScriptedEngine) -> None:
    """Byte for byte."""
    go = asyncio.Event()
    engine.otherwise = [go, WHOLE]
    asking = [await start(door, GREEDY) for door in routers]
    go.set()
    answers = await asyncio.gather(*asking)
    assert (1, 1, ["miss", "joined", "joined"]) == (
        len(engine.requests),
        len({answer.body for answer in answers}),
        [outcome(answer) for answer in answers],
    )


async def test_when_all_have_left_the_engine_stops(routers: list[Door], engine: ScriptedEngine) -> None:
    """Not before the last one has, wherever it asked."""
    go = asyncio.Event()
    script(engine, go)
    leader, follower = await routers[0].client(), await routers[1].client()
    await leader.post(GREEDY_STREAM)
    await eventually(lambda: routers[0].num_running)
    await follower.post(GREEDY_STREAM)
    await follower.until(token("Hel"))
    leader.leave()
    await eventually(lambda: len(routers[0].state.generations) == 2)  # the peer's, and the engine's side
    assert not engine.connections[0].is_closed
    follower.leave()
    await eventually(lambda: engine.connections[0].is_closed)


@pytest.mark.parametrize("num_followers", [1, 2])
async def test_a_router_that_dies_hands_over(routers: list[Door], engine: ScriptedEngine, num_followers: int) -> None:
    """Those who followed go on in the middle of their answer without a sign of it, and with one generation again."""
    go = asyncio.Event()
    script(engine, go)
    leader = await start(routers[0])
    others = routers[1 : num_followers + 1]
    followers = [await start(door) for door in others]
    await eventually(lambda: all(_has_begun(door) for door in others))
    await _kill(routers[0])
    await eventually(lambda: len(engine.requests) == 2)
    go.set()
    answers = await asyncio.gather(*followers)
    leader.cancel()
    assert (2, ["joined"] * num_followers) == (len(engine.requests), [outcome(answer) for answer in answers])
    assert {ANSWER + DONE} == {answer.body for answer in answers}


def _has_begun(door: Door) -> bool:
    """Whether its client has a part of the answer."""
    shared = door.state.shared_answers
    assert shared is not None
    return any(flight.has_content for flight in shared._flights.values())


async def _kill(door: Door) -> None:
    """As a killed process does: every connection is cut, and nothing is released."""
    await door.listener.abort()
    assert door.peer_door is not None
    await door.peer_door.abort()


async def test_another_answer_does_not_go_on_as_the_first(routers: list[Door], engine: ScriptedEngine) -> None:
    """Where the engine says something else the second time, the client is told that its answer broke."""
    engine.script(STREAM_HEAD, chunk(token("Hel")), asyncio.Event())
    engine.otherwise = [stream(token("Good day"), STOP, DONE)]
    leader = await start(routers[0])
    follower = await start(routers[1])
    await eventually(lambda: _has_begun(routers[1]))
    await _kill(routers[0])
    answer = await follower
    leader.cancel()
    assert ("engine_failed", token("Hel")) == (answer.error_event["code"], answer.body[: len(token("Hel"))])


async def test_what_no_engine_would_answer_is_not_tried_again(routers: list[Door], engine: ScriptedEngine) -> None:
    """The engine's word on a bad request is everybody's."""
    go = asyncio.Event()
    engine.otherwise = [go, whole({"error": {"message": "no such thing", "type": "invalid_request_error"}}, 400)]
    asking = [await start(door) for door in routers[:2]]
    await eventually(lambda: len(routers[0].state.generations) == 3)  # with the other router's
    go.set()
    answers = await asyncio.gather(*asking)
    assert (1, [400, 400]) == (len(engine.requests), [answer.status for answer in answers])


async def test_a_follower_tries_itself_where_the_engine_failed(routers: list[Door], engine: ScriptedEngine) -> None:
    """It may be luckier than the leader."""
    go = asyncio.Event()
    for door in routers:
        door.serve_with(engine.replica("front", profile="front"))  # of an engine that cannot go on with a text
    for _ in range(2):  # the stream, and its repetition
        engine.script(STREAM_HEAD, chunk(token("Hel")), go, Ending.CLOSE)
    engine.otherwise = [stream(token("Hello"), STOP, DONE)]
    leader = await start(routers[0])
    follower = await start(routers[1])
    await eventually(lambda: _has_begun(routers[1]))
    go.set()
    assert "engine_failed" == (await leader).error_event["code"]
    answer = await follower
    assert token("Hel") + token("lo") + STOP + DONE == answer.body


async def test_one_after_the_other_is_a_hit(routers: list[Door], engine: ScriptedEngine) -> None:
    """Nobody follows an answer that is over, however soon he comes."""
    engine.otherwise = [stream(token("Hel"), token("lo"), STOP, DONE)]
    outcomes = [outcome(await door.post(GREEDY_STREAM)) for door in (*routers, *routers)]
    assert (1, "miss") == (len(engine.requests), outcomes[0])
    assert {"hit"} == set(outcomes[3:])


async def test_without_redis_each_router_has_its_own(
    routers: list[Door], engine: ScriptedEngine, redis: RedisServer
) -> None:
    """One flight a router, and nobody waits."""
    redis.kill()
    try:
        go = asyncio.Event()
        script(engine, go)
        asking = [await start(door) for door in routers for _ in range(2)]
        await eventually(lambda: len(engine.requests) == 3)
        go.set()
        answers = await asyncio.gather(*asking)
    finally:
        redis.start()
    assert ["miss", "joined"] * 3 == [outcome(answer) for answer in answers]
    assert {ANSWER + DONE} == {answer.body for answer in answers}


# the door for peers


async def test_the_door_for_peers_is_for_them_only(routers: list[Door]) -> None:
    """Whoever does not know the router's token gets nothing from it."""
    shared = routers[0].state.shared_answers
    assert shared is not None
    assert shared.place is not None
    place = shared.place
    known = {"authorization": f"Bearer {place.token}"}
    path = flight_path(bytes(32), is_stream=True)
    tries = [
        ("GET", path, {}),
        ("GET", path, {"authorization": "Bearer no"}),
        ("POST", path, known),
        ("GET", path, known),
        ("GET", "/v1/models", known),
        ("GET", "/flights/xyz/stream", known),
    ]
    door = Door(routers[0].state, routers[0].listener, place.port, routers[0].sink)
    assert [401, 401, 405, 404, 404, 404] == [(await door.ask(*each)).status for each in tries]


def test_places_are_read_as_they_were_written() -> None:
    """And nothing else is taken for one."""
    place = Place.open("r1", "10.0.0.1", 4000)
    assert place == Place.read(place.note())
    assert place.note() != place.note()
    assert [None] * 4 == [Place.read(note) for note in (b"", b"{}", b"[1,2]", b'["r","h","4000","t","n"]')]
