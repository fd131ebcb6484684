"""The response cache and single flight, through a router's own socket and engines that answer by script."""

import asyncio
from typing import Any

import orjson
import pytest
import pytest_asyncio
from door import MAX_ENTRY_BYTES, Door, OpenDoor
from polling import eventually
from raw_client import ClientAnswer
from scripted_engine import Ending, ScriptedEngine
from wire import (
    CHAT,
    COMPLETED,
    DONE,
    GREEDY,
    GREEDY_STREAM,
    GREEDY_STREAM_WITH_USAGE,
    LAST_CHUNK,
    STOP,
    STREAM_HEAD,
    USAGE,
    USAGE_EVENT,
    WHOLE,
    chunk,
    stream,
    token,
    whole,
)  # fmt: skip

from cache.memory_store import MemoryStore
from configs.cache import CachePolicy
from router.metrics import CACHE, COMPLETION_TOKENS, REQUESTS

STREAM = stream(token("Hel"), token("lo"), STOP, USAGE_EVENT, DONE)


@pytest_asyncio.fixture
async def sharing_door(open_door: OpenDoor, engine: ScriptedEngine) -> Door:
    """A router that keeps answers in memory, with one replica."""
    door = await open_door(store=MemoryStore(1_000_000, MAX_ENTRY_BYTES))
    door.serve_with(engine.replica("r1"))
    return door


def outcome(answer: ClientAnswer) -> str:
    return answer.headers["x-enginehouse-cache"]


async def ask_twice(door: Door, body: object, headers: dict[str, str] | None = None) -> list[ClientAnswer]:
    return [await door.post(body, headers=headers) for _ in range(2)]


# hits


async def test_a_greedy_answer_is_given_again(sharing_door: Door, engine: ScriptedEngine) -> None:
    """Byte for byte, without the engine, with its age."""
    engine.otherwise = [WHOLE]
    first, second = await ask_twice(sharing_door, GREEDY)
    assert (["miss", "hit"], 1) == ([outcome(first), outcome(second)], len(engine.requests))
    assert (first.body, "0") == (second.body, second.headers["age"])


async def test_a_kept_stream_is_given_whole_and_the_reverse(sharing_door: Door, engine: ScriptedEngine) -> None:
    """The form is the client's choice: the content, the finish and the usage are the same."""
    engine.otherwise = [STREAM]
    await sharing_door.post(GREEDY_STREAM)
    again = await sharing_door.post(GREEDY_STREAM_WITH_USAGE)
    as_whole = await sharing_door.post(GREEDY)
    document = orjson.loads(as_whole.body)
    assert (["hit", "hit"], 1) == ([outcome(again), outcome(as_whole)], len(engine.requests))
    assert ("Hello", "stop", USAGE) == (
        document["choices"][0]["message"]["content"],
        document["choices"][0]["finish_reason"],
        document["usage"],
    )
    assert b'"content":"Hello"' in again.body
    assert (True, True) == (b'"usage":' + orjson.dumps(USAGE) in again.body, again.body.endswith(DONE))
    assert "text/event-stream; charset=utf-8" == again.headers["content-type"]


async def test_usage_is_only_in_the_streams_that_want_it(sharing_door: Door, engine: ScriptedEngine) -> None:
    """The one that was made, and the one that is given again."""
    engine.otherwise = [STREAM]
    answers = await ask_twice(sharing_door, GREEDY_STREAM)
    assert [False, False] == [b"prompt_tokens" in answer.body for answer in answers]
    assert [True, True] == [answer.body.endswith(DONE) for answer in answers]


@pytest.mark.parametrize(
    "body", [CHAT, {**CHAT, "temperature": 0.7}, {**CHAT, "temperature": 1, "top_p": 0.5}], ids=["none", "warm", "one"]
)
async def test_a_sampled_answer_is_made_each_time(
    body: dict[str, object], sharing_door: Door, engine: ScriptedEngine
) -> None:
    """Whoever samples wants a new one."""
    engine.otherwise = [WHOLE]
    answers = await ask_twice(sharing_door, body)
    assert (["bypass", "bypass"], 2) == ([outcome(answer) for answer in answers], len(engine.requests))


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (GREEDY, {"cache-control": "no-cache"}, ["miss", "miss"]),
        (GREEDY, {"cache-control": "no-store"}, ["bypass", "bypass"]),
        (GREEDY, {"x-enginehouse-cache": "off"}, ["bypass", "bypass"]),
        (CHAT, {"x-enginehouse-cache": "on"}, ["miss", "hit"]),
        (GREEDY, {"cache-control": "max-age=60"}, ["miss", "hit"]),
        ({**CHAT, "seed": 1}, {}, ["miss", "hit"]),
    ],
)
async def test_a_request_has_its_say(
    body: dict[str, object], headers: dict[str, str], expected: list[str], sharing_door: Door, engine: ScriptedEngine
) -> None:
    """By the headers that HTTP has for it, and one of ours."""
    engine.otherwise = [WHOLE]
    assert expected == [outcome(answer) for answer in await ask_twice(sharing_door, body, headers)]


@pytest.mark.parametrize(
    ("policy", "body", "expected"),
    [
        (CachePolicy(mode="off"), GREEDY, ["bypass", "bypass"]),
        (CachePolicy(mode="always"), CHAT, ["miss", "hit"]),
        (CachePolicy(ttl_s=0.001), GREEDY, ["miss", "miss"]),
    ],
    ids=["off", "always", "short-lived"],
)
async def test_so_has_the_model(
    policy: CachePolicy, body: dict[str, object], expected: list[str], sharing_door: Door, engine: ScriptedEngine
) -> None:
    """Its policy in the model table."""
    sharing_door.set_policy(policy)
    engine.otherwise = [WHOLE]
    first = await sharing_door.post(body)
    await asyncio.sleep(0.01)  # longer than the short life
    assert expected == [outcome(first), outcome(await sharing_door.post(body))]


CUT = {**COMPLETED, "choices": [{"index": 0, "message": {"content": "hel"}, "finish_reason": "length"}]}


@pytest.mark.parametrize(("keep_truncated", "expected"), [(False, "miss"), (True, "hit")])
async def test_an_answer_that_was_cut_is_kept_only_where_that_is_allowed(
    sharing_door: Door, engine: ScriptedEngine, *, keep_truncated: bool, expected: str
) -> None:
    """Another limit would have said more."""
    sharing_door.set_policy(CachePolicy(keep_truncated=keep_truncated))
    engine.otherwise = [whole(CUT)]
    _, second = await ask_twice(sharing_door, GREEDY)
    assert expected == outcome(second)


async def test_a_failure_is_not_kept(sharing_door: Door, engine: ScriptedEngine) -> None:
    """Neither an error, nor a stream that broke."""
    sharing_door.serve_with(engine.replica("front", profile="front"))  # of an engine that cannot go on with a text
    engine.script(whole({"error": {"message": "no"}}, 400))
    for _ in range(2):  # the stream, and its repetition
        engine.script(STREAM_HEAD, chunk(token("Hel")), Ending.CLOSE)
    engine.otherwise = [STREAM]
    answers = [await sharing_door.post(GREEDY_STREAM) for _ in range(3)]
    assert ([400, 200, 200], ["miss"] * 3) == (
        [answer.status for answer in answers],
        [outcome(answer) for answer in answers],
    )
    assert "engine_failed" == answers[1].error_event["code"]


async def test_an_answer_that_is_too_long_is_not_kept(sharing_door: Door, engine: ScriptedEngine) -> None:
    """It reaches its client all the same."""
    long = stream(*(token("x" * 500) for _ in range(2 * MAX_ENTRY_BYTES // 500)), STOP, DONE)
    engine.otherwise = [long]
    answers = await ask_twice(sharing_door, GREEDY_STREAM)
    assert (["miss", "miss"], [True, True]) == (
        [outcome(answer) for answer in answers],
        [answer.body.endswith(DONE) for answer in answers],
    )


# whose answers


@pytest.mark.parametrize(("shared_by", "expected"), [("key", ["miss", "miss"]), ("everybody", ["miss", "hit"])])
async def test_answers_do_not_cross_keys_unless_they_may(
    shared_by: Any, expected: list[str], open_door: OpenDoor, engine: ScriptedEngine
) -> None:
    """A tenant is a key."""
    door = await open_door(keys=["k1", "k2"], store=MemoryStore(1_000_000, MAX_ENTRY_BYTES))
    door.serve_with(engine.replica("r1"))
    door.set_policy(CachePolicy(shared_by=shared_by))
    engine.otherwise = [WHOLE]
    answers = [await door.post(GREEDY, headers={"api-key": key}) for key in ("k1", "k2")]
    assert expected == [outcome(answer) for answer in answers]


async def test_a_namespace_is_a_cache_of_its_own(sharing_door: Door, engine: ScriptedEngine) -> None:
    """What an evaluation asks is not what a user gets."""
    engine.otherwise = [WHOLE]
    name = "x-enginehouse-cache-namespace"
    answers = [await sharing_door.post(GREEDY, headers={name: each}) for each in ("a", "b", "a")]
    assert ["miss", "miss", "hit"] == [outcome(answer) for answer in answers]


async def test_a_bad_header_is_named(sharing_door: Door) -> None:
    """In OpenAI's envelope."""
    answer = await sharing_door.post(GREEDY, headers={"x-enginehouse-cache": "maybe"})
    assert (400, "x-enginehouse-cache") == (answer.status, answer.error["param"])


async def test_answers_of_another_engine_are_others(
    sharing_door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """A new build, other weights: nothing that was kept is given for it. While both are there, nothing is shared."""
    engine.otherwise = other_engine.otherwise = [WHOLE]
    old, new = engine.replica("old"), other_engine.replica("new")
    new.fingerprint = "another"
    outcomes = []
    for replicas in ([old], [old, new], [new], [new]):
        sharing_door.serve_with(*replicas)
        outcomes.append(outcome(await sharing_door.post(GREEDY)))
    assert ["miss", "bypass", "miss", "hit"] == outcomes


async def test_answers_to_other_messages_are_others(sharing_door: Door, engine: ScriptedEngine) -> None:
    """As a table makes them that says what the template takes."""
    engine.otherwise = [WHOLE]
    body = {**GREEDY, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]}
    outcomes = []
    for refuses in ([], ["system"], ["system"], []):
        sharing_door.set_route(roles={"refuses": refuses})
        outcomes.append(outcome(await sharing_door.post(body)))
    assert ["miss", "miss", "hit", "hit"] == outcomes


async def test_a_model_without_replicas_is_answered_from_what_is_kept(
    sharing_door: Door, engine: ScriptedEngine
) -> None:
    """What its last replicas said is what they would say again."""
    engine.otherwise = [WHOLE]
    await sharing_door.post(GREEDY)
    sharing_door.serve_with()
    answer = await sharing_door.post(GREEDY)
    assert (200, "hit", 1) == (answer.status, outcome(answer), len(engine.requests))


@pytest.mark.parametrize(
    ("purged", "second_outcome", "num_asked"), [("m", "miss", 2), (None, "miss", 2), ("other", "joined", 1)]
)
async def test_what_is_being_made_during_a_purge_is_not_kept(
    sharing_door: Door, engine: ScriptedEngine, purged: str | None, second_outcome: str, num_asked: int
) -> None:
    """It goes to who waits for it; who comes after the purge gets an answer of after the purge."""
    go = asyncio.Event()
    engine.otherwise = [go, WHOLE]
    leader = asyncio.create_task(sharing_door.post(GREEDY))
    await eventually(lambda: sharing_door.num_running)
    answers = sharing_door.state.shared_answers
    assert answers is not None
    await answers.purge(purged, None)
    second = asyncio.create_task(sharing_door.post(GREEDY))
    await eventually(lambda: len(sharing_door.state.generations) == 2 + num_asked)
    go.set()
    outcomes = [outcome(answer) for answer in await asyncio.gather(leader, second)]
    assert ["miss", second_outcome] == outcomes
    assert ("hit", num_asked) == (outcome(await sharing_door.post(GREEDY)), len(engine.requests))


async def test_the_answer_of_a_fallback_is_not_kept_as_the_models_own(
    sharing_door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Another engine gave it, because the model's own was overloaded: the next request asks that one again."""
    fallback = other_engine.replica("f1")
    fallback.fingerprint = "another"
    sharing_door.fall_back_on(fallback)
    engine.script(whole({"error": {"message": "queue is full"}}, 503))
    engine.otherwise = other_engine.otherwise = [WHOLE]
    answers = await ask_twice(sharing_door, GREEDY)
    assert ([200, 200], ["miss", "miss"], 1) == (
        [answer.status for answer in answers],
        [outcome(answer) for answer in answers],
        len(other_engine.requests),
    )


# single flight


async def test_identical_requests_share_one_generation(sharing_door: Door, engine: ScriptedEngine) -> None:
    """From its first token, however late they come; it is counted once."""
    go = asyncio.Event()
    engine.otherwise = [
        STREAM_HEAD,
        chunk(token("Hel")),
        go,
        chunk(token("lo") + STOP + USAGE_EVENT + DONE),
        LAST_CHUNK,
    ]
    leader = asyncio.create_task(sharing_door.post(GREEDY_STREAM))
    await eventually(lambda: sharing_door.num_running)
    followers = [asyncio.create_task(sharing_door.post(GREEDY_STREAM_WITH_USAGE)) for _ in range(20)]
    await eventually(lambda: len(sharing_door.connections) == 21 and len(sharing_door.state.generations) == 22)
    go.set()
    answers = [await leader, *[await follower for follower in followers]]
    assert (1, ["miss"] + ["joined"] * 20) == (len(engine.requests), [outcome(answer) for answer in answers])
    assert token("Hel") + token("lo") + STOP + DONE == answers[0].body
    assert {token("Hel") + token("lo") + STOP + USAGE_EVENT + DONE} == {answer.body for answer in answers[1:]}
    assert (2, 21) == (sharing_door.sink.total(COMPLETION_TOKENS), sharing_door.sink.total(REQUESTS))
    assert 20 == sum(one.labels["outcome"] == "joined" for one in sharing_door.sink.records if one.metric is CACHE)


async def test_whole_answers_are_shared_too(sharing_door: Door, engine: ScriptedEngine) -> None:
    """All get the same bytes."""
    go = asyncio.Event()
    engine.otherwise = [go, WHOLE]
    asking = [asyncio.create_task(sharing_door.post(GREEDY)) for _ in range(5)]
    await eventually(lambda: len(sharing_door.state.generations) == 6)
    go.set()
    answers = await asyncio.gather(*asking)
    assert (1, 1, [200] * 5) == (
        len(engine.requests),
        len({answer.body for answer in answers}),
        [answer.status for answer in answers],
    )


async def test_one_that_leaves_does_not_stop_the_others(sharing_door: Door, engine: ScriptedEngine) -> None:
    """Not even the one that came first."""
    go = asyncio.Event()
    engine.otherwise = [STREAM_HEAD, chunk(token("Hel")), go, chunk(token("lo") + STOP + DONE), LAST_CHUNK]
    leader = await sharing_door.client()
    await leader.post(GREEDY_STREAM)
    await eventually(lambda: sharing_door.num_running)
    follower = asyncio.create_task(sharing_door.post(GREEDY_STREAM))
    await eventually(lambda: len(sharing_door.state.generations) == 3)
    leader.leave()
    await eventually(lambda: len(sharing_door.state.generations) == 2)
    go.set()
    answer = await follower
    assert (token("Hel") + token("lo") + STOP + DONE, 1) == (answer.body, len(engine.requests))


async def test_when_all_have_left_the_engine_stops(sharing_door: Door, engine: ScriptedEngine) -> None:
    """Its connection is dropped, which is how it hears of it; the next one begins anew."""
    engine.script(STREAM_HEAD, chunk(token("Hel")), asyncio.Event())
    clients = [await sharing_door.client() for _ in range(2)]
    for client in clients:
        await client.post(GREEDY_STREAM)
    await eventually(lambda: engine.connections and engine.requests and len(sharing_door.state.generations) == 3)
    for client in clients:
        client.leave()
    await eventually(lambda: engine.connections[0].is_closed and not sharing_door.state.generations)
    engine.otherwise = [STREAM]
    assert "miss" == outcome(await sharing_door.post(GREEDY_STREAM))


async def test_a_failure_is_everybodys(sharing_door: Door, engine: ScriptedEngine) -> None:
    """Each client is told, in its own answer."""
    go = asyncio.Event()
    engine.otherwise = [STREAM_HEAD, chunk(token("Hel")), go, Ending.CLOSE]
    asking = [asyncio.create_task(sharing_door.post(GREEDY_STREAM)) for _ in range(3)]
    await eventually(lambda: len(sharing_door.state.generations) == 4)
    go.set()
    answers = await asyncio.gather(*asking)
    assert ["engine_failed"] * 3 == [answer.error_event["code"] for answer in answers]


async def test_a_lost_engine_is_not_noticed(sharing_door: Door, engine: ScriptedEngine) -> None:
    """A greedy stream goes on with another generation of the same, from the word where it broke, and is kept."""
    sharing_door.serve_with(engine.replica("front", profile="front"))  # of an engine that cannot go on with a text
    engine.script(STREAM_HEAD, chunk(token("Hel")), Ending.CLOSE)
    engine.otherwise = [STREAM]
    answers = await ask_twice(sharing_door, GREEDY_STREAM)
    assert token("Hel") + token("lo") + STOP + DONE == answers[0].body
    assert (["miss", "hit"], 2) == ([outcome(answer) for answer in answers], len(engine.requests))


async def test_a_lost_sample_is_not_made_again(sharing_door: Door, engine: ScriptedEngine) -> None:
    """Another one would say something else."""
    sharing_door.serve_with(engine.replica("front", profile="front"))  # of an engine that cannot go on with a text
    engine.otherwise = [STREAM_HEAD, chunk(token("Hel")), Ending.CLOSE]
    answer = await sharing_door.post({**CHAT, "stream": True}, headers={"x-enginehouse-cache": "on"})
    assert ("engine_failed", 1) == (answer.error_event["code"], len(engine.requests))


async def test_a_slow_follower_does_not_slow_the_others(sharing_door: Door, engine: ScriptedEngine) -> None:
    """It gets everything in its own time."""
    part = token("x" * 60_000)
    go = asyncio.Event()
    engine.otherwise = [STREAM_HEAD, chunk(token("a")), go, *[chunk(part)] * 40, chunk(STOP + DONE), LAST_CHUNK]
    with await sharing_door.client(receive_buffer_bytes=4096) as slow:
        await slow.post(GREEDY_STREAM)
        await eventually(lambda: sharing_door.num_running)
        quick = asyncio.create_task(sharing_door.post(GREEDY_STREAM))
        await eventually(lambda: len(sharing_door.state.generations) == 3)
        go.set()
        assert (await quick).body.endswith(DONE)
        late = await slow.answer()
    assert (await quick).body == late.body
