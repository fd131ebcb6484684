"""router.canary.shadowing: copies of requests, through a router with two engines."""

import asyncio
from dataclasses import replace

import pytest
from door import APPLICATION, MAX_ENTRY_BYTES, Door, OpenDoor
from polling import eventually
from scripted_engine import Ending, ScriptedEngine
from wire import CHAT, CHAT_STREAM, EMBEDDING, GREEDY, STREAM, WHOLE, whole

from cache.memory_store import MemoryStore
from configs.backends import ShadowSettings
from configs.router import ModelRoute, RouterUserConfig
from router.canary.tally import FAILED, Course, Side
from router.fim.template import FAMILIES
from router.metrics import COMPLETION_TOKENS, PICKS, REQUESTS, SHADOW_DIFFERENCES, SHADOW_REQUESTS
from router.models.table import ModelTable

TALLY = "shadow:m:dark"
TEXT = {
    "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "text": "x", "logprobs": None, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
}  # fmt: skip


def cast_shadow(door: Door, dark: ScriptedEngine, **settings: object) -> None:
    """Every request for `m` is copied to `r2`."""
    shadow = ShadowSettings.model_validate({"application": "dark", "ratio": 1, **settings})
    route = ModelRoute(application=APPLICATION, shadow=shadow)
    requests = door.state.table.requests
    door.state.take_over_table(ModelTable(RouterUserConfig(models={"m": route}, requests=requests)))
    door.state.take_over_replicas("dark", [dark.replica("r2")])


def counts(door: Door, side: Side) -> dict[str, int]:
    sides = door.state.tallies.courses(door.state.loop.time()).get(TALLY, {})
    return dict(sides.get(side, Course()).total.counts)


@pytest.mark.parametrize(("body", "answer"), [(CHAT, WHOLE), (CHAT_STREAM, STREAM)], ids=["whole", "stream"])
async def test_a_request_is_copied_and_compared(
    body: dict[str, object], answer: bytes, door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Both engines are asked the same; the client has the one's answer, and the metrics count it once."""
    cast_shadow(door, other_engine)
    engine.script(answer)
    other_engine.script(answer)
    client = await door.post(body)
    await eventually(lambda: counts(door, "shadow"))

    assert b"r1" not in client.body
    assert ({"ok": 1}, {"ok": 1, "equal": 1}) == (counts(door, "client"), counts(door, "shadow"))
    assert engine.requests[0].body == other_engine.requests[0].body
    assert "shadow-" + engine.requests[0].headers["x-request-id"] == other_engine.requests[0].headers["x-request-id"]
    assert (1, 1, 2) == tuple(door.sink.total(metric) for metric in (REQUESTS, PICKS, COMPLETION_TOKENS))
    assert 1 == door.sink.total(SHADOW_REQUESTS, model="m", backend="dark", replica="r2", outcome="equal")


async def test_a_copy_that_fails_is_no_matter_to_the_client(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """It is counted as a failure, and as a difference."""
    cast_shadow(door, other_engine)
    engine.script(WHOLE)
    other_engine.script(Ending.RESET)
    assert 200 == (await door.post(CHAT)).status
    await eventually(lambda: counts(door, "shadow"))
    assert {FAILED + "engine_unavailable": 1, "different": 1, "error": 1} == counts(door, "shadow")
    assert 1 == door.sink.total(SHADOW_DIFFERENCES, kind="error")


async def test_a_copy_that_takes_too_long_is_aborted_in_its_engine(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The client was answered before, and the shadow's connection is closed."""
    cast_shadow(door, other_engine, timeout_s=0.05)
    engine.script(WHOLE)
    other_engine.script(asyncio.Event())
    assert 200 == (await door.post(CHAT)).status
    await eventually(lambda: counts(door, "shadow"))
    await eventually(lambda: other_engine.num_open == 0)
    assert {FAILED + "engine_timeout": 1, "different": 1, "error": 1} == counts(door, "shadow")
    assert 0 == sum(replica.num_running for replica in door.state.directory.all())


async def test_so_many_copies_are_under_way_and_no_more(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """What would be more is dropped, and its client is served."""
    cast_shadow(door, other_engine, max_running=1)
    is_slow = asyncio.Event()
    other_engine.script(is_slow, WHOLE)
    for _ in range(3):
        engine.script(WHOLE)
        assert 200 == (await door.post(CHAT)).status
    is_slow.set()
    await eventually(lambda: "ok" in counts(door, "shadow"))
    assert {"ok": 1, "equal": 1, "dropped": 2} == counts(door, "shadow")


async def test_a_busy_shadow_gets_no_copy(door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine) -> None:
    """Its own clients come first."""
    cast_shadow(door, other_engine)
    [replica] = door.state.directory.of("dark")
    replica.max_num_seqs = replica.num_running = 2
    engine.script(WHOLE)
    assert 200 == (await door.post(CHAT)).status
    assert ({"dropped": 1}, []) == (counts(door, "shadow"), other_engine.requests)


async def test_a_client_that_leaves_ends_its_copy(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """There is nothing left to compare it with."""
    cast_shadow(door, other_engine)
    engine.script(asyncio.Event())
    other_engine.script(asyncio.Event())
    with await door.client() as client:
        await client.post(CHAT)
        await eventually(lambda: engine.requests and other_engine.requests)
    await eventually(lambda: other_engine.num_open == 0)
    assert {"uncompared": 1} == counts(door, "shadow")


async def test_an_error_of_the_clients_own_engine_is_the_clients(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """A shadow that answers does not hide it, and is no different for it."""
    cast_shadow(door, other_engine)
    engine.script(whole({"error": {"message": "broken"}}, 500))
    other_engine.script(WHOLE)
    assert 500 == (await door.post(CHAT)).status
    await eventually(lambda: counts(door, "shadow"))
    assert ({FAILED + "engine_failed": 1}, {"ok": 1, "equal": 1}) == (counts(door, "client"), counts(door, "shadow"))


async def test_what_is_kept_is_the_clients_answer(
    open_door: OpenDoor, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The response cache has it, and answers the next request without any copy."""
    door = await open_door(store=MemoryStore(1_000_000, MAX_ENTRY_BYTES))
    replica = engine.replica("r1")
    replica.fingerprint = "f"
    door.serve_with(replica)
    cast_shadow(door, other_engine)
    engine.script(WHOLE)
    other_engine.script(whole({"choices": []}))
    first = await door.post(GREEDY)
    await eventually(lambda: counts(door, "shadow"))
    second = await door.post(GREEDY)
    assert ("hit", first.body) == (second.headers["x-enginehouse-cache"], second.body)
    assert 1 == len(other_engine.requests)


async def test_a_shadow_of_another_family_gets_its_own_marks(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """A text that is to be filled in is compared with what another model makes of it, and not of the first's marks."""
    qwen, codestral = FAMILIES["qwen_coder"], FAMILIES["codestral"]
    door.serve_with(replace(engine.replica("r3"), fim=qwen.encode()))
    cast_shadow(door, other_engine)
    door.state.take_over_replicas("dark", [replace(other_engine.replica("r4"), fim=codestral.encode())])
    engine.script(whole(TEXT))
    other_engine.script(whole(TEXT))
    body = {"model": "m", "prompt": "a", "suffix": "b", "stop": "c", "max_tokens": 5}
    assert 200 == (await door.post(body, "/v1/completions")).status
    await eventually(lambda: counts(door, "shadow"))
    assert [qwen.prompt("a", "b"), codestral.prompt("a", "b")] == [
        one.requests[0].document["prompt"] for one in (engine, other_engine)
    ]
    assert ["c", *codestral.stop, *codestral.marks] == other_engine.requests[0].document["stop"]


async def test_vectors_are_not_copied(door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine) -> None:
    """Only generations are."""
    cast_shadow(door, other_engine)
    door.serve_with(engine.replica("r3", task="embed"))
    engine.script(whole({"data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 1}}))
    assert 200 == (await door.post(EMBEDDING, "/v1/embeddings")).status
    assert ({}, []) == (counts(door, "shadow"), other_engine.requests)
