"""Completions in editors: a real router, real sockets, and an engine that answers by script."""

import asyncio

import orjson
import pytest
from door import Door, OpenDoor
from polling import eventually
from raw_client import ClientAnswer
from scripted_engine import ScriptedEngine
from wire import CHAT, LAST_CHUNK, STREAM_HEAD, WHOLE, chunk, event

from cache.memory_store import MemoryStore
from router.metrics import REQUESTS

PATH = "/v1/completions"
HEAD = "# a file that begins with so many characters\n" * 9
TEXT = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m"}
TOKEN = event({**TEXT, "choices": [{"index": 0, "text": "pri", "finish_reason": None}]})


def fim(typed: str = "", **fields: object) -> dict[str, object]:
    return {"model": "m", "prompt": HEAD + typed, "suffix": "\n", "temperature": 0.2, **fields}


def begun(door: Door, body: dict[str, object], **headers: str) -> "asyncio.Task[ClientAnswer]":
    return asyncio.create_task(
        door.post(body, PATH, {name.replace("_", "-"): value for name, value in headers.items()})
    )


async def hold(engine: ScriptedEngine) -> asyncio.Event:
    """The engine keeps every request until the event, and answers it then."""
    gate = asyncio.Event()
    engine.otherwise = [gate, WHOLE]
    return gate


async def test_the_next_key_supersedes_the_completion_before(door: Door, engine: ScriptedEngine) -> None:
    """The engine stops, and the older client gets a whole answer that says nothing, with a header that says why."""
    gate = await hold(engine)
    older = begun(door, fim("def f"))
    await eventually(lambda: engine.num_open == 1)
    newer = begun(door, fim("def fi"))
    answer = await older
    body = orjson.loads(answer.body)
    assert (200, "true") == (answer.status, answer.headers["x-enginehouse-superseded"])
    assert [{"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}] == body["choices"]
    await eventually(lambda: (len(engine.requests), engine.num_open) == (2, 1))
    gate.set()
    assert (200, None) == ((await newer).status, newer.result().headers.get("x-enginehouse-superseded"))
    assert (1, 1) == (door.sink.total(REQUESTS, code="superseded"), door.sink.total(REQUESTS, code="ok"))
    assert 0 == len(door.state.completions)


async def test_the_next_key_takes_the_place_of_the_one_before(door: Door, engine: ScriptedEngine) -> None:
    """Where a key has one at a time, it is not refused for what it supersedes; whoever asks for another file is."""
    door.set_route(limits={"max_requests_per_key": 1})
    gate = await hold(engine)
    older = begun(door, fim("def f"))
    await eventually(lambda: engine.num_open == 1)
    newer = begun(door, fim("def fi"))
    assert "true" == (await older).headers["x-enginehouse-superseded"]
    assert 429 == (await begun(door, {**fim(), "prompt": "another file"})).status
    gate.set()
    assert 200 == (await newer).status
    assert 200 == (await begun(door, fim("def fib"))).status


async def test_a_superseded_stream_is_whole(door: Door, engine: ScriptedEngine) -> None:
    """One chunk with a reason to end, and `[DONE]`: Tabby's client fails on a stream without the former."""
    gate = await hold(engine)
    older = begun(door, fim("def f", stream=True))
    await eventually(lambda: engine.requests)
    newer = begun(door, fim("def fi"))
    answer = await older
    first, done = answer.body.strip().split(b"\n\n")
    assert ("stop", b"data: [DONE]") == (orjson.loads(first[5:])["choices"][0]["finish_reason"], done)
    assert (200, "true") == (answer.status, answer.headers["x-enginehouse-superseded"])
    gate.set()
    await newer


async def test_a_stream_that_had_begun_ends_as_one_that_was_cut(door: Door, engine: ScriptedEngine) -> None:
    """With `length`, for that is what it is."""
    gate = asyncio.Event()
    engine.script(STREAM_HEAD, chunk(TOKEN), gate, LAST_CHUNK)
    engine.script(WHOLE)
    with await door.client() as client:
        await client.post(fim("def f", stream=True), PATH)
        await client.until(b"pri")
        await begun(door, fim("def fi"))
        rest = await client.until(b"[DONE]")
    assert b'"finish_reason":"length"' in rest
    await eventually(lambda: engine.connections[0].is_closed)


async def test_a_completion_that_waits_is_superseded_there(door: Door, engine: ScriptedEngine) -> None:
    """The engine never hears of it."""
    gate = await hold(engine)
    replica = engine.replica("small")
    replica.max_num_seqs = 1
    door.set_route(queue={"max_ahead": 0})
    door.serve_with(replica)
    chat = asyncio.create_task(door.post(CHAT))
    await eventually(lambda: engine.requests)
    typed = [begun(door, fim("def f"))]
    await eventually(lambda: len(door.state.completions) == 1)
    typed.append(begun(door, fim("def fi")))
    assert "true" == (await typed[0]).headers["x-enginehouse-superseded"]
    gate.set()
    assert [200, 200] == [(await chat).status, (await typed[1]).status]
    assert [None, HEAD + "def fi"] == [request.document.get("prompt") for request in engine.requests]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"prompt": "another file: " + HEAD}),
        ({"user": "ann"}, {"user": "bob"}),
        ({"suffix": None}, {"suffix": None}),
    ],
    ids=["another file", "another person", "no completion in an editor"],
)
async def test_others_are_left_alone(
    one: dict[str, object], other: dict[str, object], door: Door, engine: ScriptedEngine
) -> None:
    """Both are answered."""
    gate = await hold(engine)
    tasks = [begun(door, fim() | fields) for fields in (one, other)]
    await eventually(lambda: len(engine.requests) == 2)
    gate.set()
    assert [None, None] == [(await task).headers.get("x-enginehouse-superseded") for task in tasks]


async def test_a_session_that_is_named_supersedes_in_any_file(door: Door, engine: ScriptedEngine) -> None:
    """Its client says that it is one typist."""
    gate = await hold(engine)
    older = begun(door, fim(), x_session_id="s1")
    await eventually(lambda: engine.requests)
    newer = begun(door, fim(prompt="x"), x_session_id="s1")
    assert "true" == (await older).headers["x-enginehouse-superseded"]
    gate.set()
    await newer


async def test_a_model_may_let_everybody_finish(door: Door, engine: ScriptedEngine) -> None:
    """With `supersede: false`."""
    door.set_route(autocomplete={"supersede": False})
    gate = await hold(engine)
    tasks = [begun(door, fim(typed)) for typed in ("def f", "def fi")]
    await eventually(lambda: len(engine.requests) == 2)
    gate.set()
    assert [None, None] == [(await task).headers.get("x-enginehouse-superseded") for task in tasks]


async def test_a_late_completion_is_dropped(door: Door, engine: ScriptedEngine) -> None:
    """504, not to be tried again, and the engine stops."""
    door.set_route(autocomplete={"deadline_s": 0.1})
    await hold(engine)
    answer = await door.post(fim(), PATH)
    assert (504, "completion_too_late", "false") == (
        answer.status, orjson.loads(answer.body)["error"]["code"], answer.headers["x-should-retry"],
    )  # fmt: skip
    await eventually(lambda: engine.num_open == 0)


async def test_a_completion_that_has_begun_is_not_late(door: Door, engine: ScriptedEngine) -> None:
    """Its deadline passes while it is written."""
    door.set_route(autocomplete={"deadline_s": 1})
    gate = asyncio.Event()
    engine.script(STREAM_HEAD, chunk(TOKEN), gate, chunk(b"data: [DONE]\n\n"), LAST_CHUNK)
    with await door.client() as client:
        await client.post(fim(stream=True), PATH)
        await client.until(b"pri")
        loop = asyncio.get_running_loop()
        deadline_at = loop.time() + 1
        await eventually(lambda: loop.time() > deadline_at)
        gate.set()
        await client.until(b"[DONE]")


async def test_only_completions_in_editors_can_be_late(door: Door, engine: ScriptedEngine) -> None:
    """Unless the model is for nothing else."""
    door.set_route(autocomplete={"deadline_s": 0.05})
    gate = await hold(engine)
    plain = begun(door, {"model": "m", "prompt": "a story"})
    assert 504 == (await door.post(fim(), PATH)).status
    gate.set()
    assert 200 == (await plain).status
    door.set_route(autocomplete={"deadline_s": 0.05, "all_completions": True})
    await hold(engine)
    assert 504 == (await door.post({"model": "m", "prompt": "a story"}, PATH)).status


async def test_whoever_else_follows_the_same_answer_gets_it(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """A shared generation goes on when one of its clients is superseded."""
    door = await open_door(store=MemoryStore(1_000_000, 10_000))
    door.serve_with(engine.replica("r1"))
    gate = await hold(engine)
    greedy = {**fim(), "temperature": 0}
    ann = begun(door, greedy, x_session_id="ann")
    await eventually(lambda: bool(engine.requests))
    bob = begun(door, greedy, x_session_id="bob")
    await eventually(lambda: len(door.state.completions) == 2)
    anew = begun(door, fim(prompt="x"), x_session_id="ann")
    assert "true" == (await ann).headers["x-enginehouse-superseded"]
    gate.set()
    assert ("joined", 200) == ((await bob).headers["x-enginehouse-cache"], bob.result().status)
    assert 200 == (await anew).status


async def test_a_completion_goes_where_no_long_prompt_is_read(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Its home is another replica, which is in the middle of one."""
    replicas = [engine.replica("r1"), other_engine.replica("r2")]
    door.serve_with(*replicas)
    for scripted in (engine, other_engine):
        scripted.otherwise = [WHOLE]
    await door.post(fim(), PATH, {"x-session-id": "s"})
    home, other = (engine, other_engine) if engine.requests else (other_engine, engine)
    gate = await hold(home)
    other.otherwise = [WHOLE]
    at_home = next(one for one in replicas if one.port == home.port)
    long_chat = {**CHAT, "messages": [{"role": "user", "content": "long " * 9000}]}
    chat = asyncio.create_task(door.post(long_chat, headers={"x-session-id": "s"}))
    await eventually(lambda: at_home.num_prefill_bytes)
    assert 200 == (await door.post(fim(), PATH, {"x-session-id": "s"})).status
    assert 1 == len(other.requests)
    gate.set()
    assert 200 == (await chat).status
