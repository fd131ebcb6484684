"""Merged requests through a router's own socket, and an engine that answers by script."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
import pytest_asyncio
from door import MAX_ENTRY_BYTES, Door, OpenDoor
from polling import eventually
from raw_client import ClientAnswer
from scripted_engine import ScriptedEngine
from wire import whole

from cache.memory_store import MemoryStore
from configs.router import MergingPolicy
from router.merging.inputs import mergeable_inputs
from router.merging.merged import CALLS_PER_REPLICA
from router.metrics import MERGED_INPUTS, PROMPT_TOKENS, REQUESTS

PATH = "/v1/embeddings"


@pytest_asyncio.fixture
async def embedding_door(open_door: OpenDoor, engine: ScriptedEngine) -> Door:
    """A router whose model makes embeddings; its engine speaks as llama.cpp does."""
    door = await open_door()
    door.serve_with(engine.replica("r1", task="embed"))
    return door


def answer(*counts: int) -> bytes:
    """The engine's, to inputs with so many tokens: the vector of each is its place and its count."""
    data = [{"object": "embedding", "index": place, "embedding": [place, n]} for place, n in enumerate(counts)]
    usage = {"prompt_tokens": sum(counts), "total_tokens": sum(counts)}
    return whole({"object": "list", "model": "m", "data": data, "usage": usage})


def counted(*counts: int) -> bytes:
    """llama.cpp's tokens of texts of so many, without any at an input's ends."""
    return whole({"tokens": [token for count in counts for token in [-1, *([7] * count)]]})


@asynccontextmanager
async def busy(door: Door, engine: ScriptedEngine, *, as_tokens: bool = False) -> AsyncIterator[None]:
    """The model is answering as many calls as it does at once, from before the block until its end."""
    released = asyncio.Event()
    blocking = []
    for number in range(1, CALLS_PER_REPLICA + 1):
        engine.script(released, answer(1), path=PATH)
        body = {"model": "m", "input": [number] if as_tokens else f"first {number}"}
        blocking.append(asyncio.create_task(door.post(body, PATH)))
        await eventually(lambda number=number: len(engine.requests) == number)  # type: ignore[misc]
    yield
    released.set()
    await asyncio.gather(*blocking)


async def ask_meanwhile(
    door: Door, engine: ScriptedEngine, bodies: Sequence[object], *scripts: bytes
) -> list[ClientAnswer]:
    """The answers to `bodies`, which came while others were being answered. The engine says `scripts` then."""
    asked = []
    async with busy(door, engine):
        for script in scripts:
            engine.script(script, path=PATH)
        for number, body in enumerate(bodies, 1):  # one after another, so that their order is known
            asked.append(asyncio.create_task(door.post(body, PATH)))
            await eventually(lambda number=number: num_waiting(door) == number)  # type: ignore[misc]
    return await asyncio.gather(*asked)


def num_waiting(door: Door) -> int:
    return sum(len(gathering.waiting) for gathering in door.state.gatherings._gatherings.values())


def inputs_of(engine: ScriptedEngine) -> list[object]:
    """Of the calls after those that kept the engine busy."""
    calls = [request.document["input"] for request in engine.requests if request.path == PATH]
    return calls[CALLS_PER_REPLICA:]


def embeddings(one: ClientAnswer) -> tuple[list[object], object]:
    """The vectors of an answer in their order, and its tokens."""
    document = orjson.loads(one.body)
    assert list(range(len(document["data"]))) == [entry["index"] for entry in document["data"]]
    return [entry["embedding"] for entry in document["data"]], document["usage"]["prompt_tokens"]


TEXTS: list[dict[str, Any]] = [{"model": "m", "input": "a"}, {"model": "m", "input": ["b", "c"]}]


async def test_requests_that_come_meanwhile_go_as_one(embedding_door: Door, engine: ScriptedEngine) -> None:
    """Each gets its own vectors and tokens, and the metrics tell of every request and of the size of the call."""
    engine.script(counted(2, 3, 4), path="/tokenize")
    answers = await ask_meanwhile(embedding_door, engine, TEXTS, answer(2, 3, 4))
    assert [["a", "b", "c"]] == inputs_of(engine)
    assert [([[0, 2]], 2), ([[1, 3], [2, 4]], 7)] == [embeddings(one) for one in answers]
    sink = embedding_door.sink
    await eventually(lambda: sink.total(REQUESTS, replica="r1", code="ok") == CALLS_PER_REPLICA + 2)
    assert [1] * CALLS_PER_REPLICA + [3] == [record.value for record in sink.of(MERGED_INPUTS, replica="r1")]
    assert CALLS_PER_REPLICA + 9 == sink.total(PROMPT_TOKENS, replica="r1")


async def test_a_bad_input_fails_alone(embedding_door: Door, engine: ScriptedEngine) -> None:
    """A merged call that the engine refuses is asked again, each request by itself."""
    refusal = whole({"error": {"code": 400, "message": "that is no text", "type": "invalid_request_error"}}, 400)
    engine.script(counted(2, 3, 4), path="/tokenize")
    bad, good = await ask_meanwhile(embedding_door, engine, TEXTS, refusal, refusal, answer(3, 4))
    inputs = inputs_of(engine)
    assert ["a", "b", "c"] == inputs[0]
    if inputs[1] != "a":  # which of the two comes first is nobody's business
        bad, good = good, bad
    assert [400, 200] == [bad.status, good.status]


async def test_what_is_not_counted_is_not_merged(embedding_door: Door, engine: ScriptedEngine) -> None:
    """An engine that read another number of tokens than were counted: each request alone, now and from then on."""
    engine.script(counted(1, 1, 1), path="/tokenize")
    answers = await ask_meanwhile(embedding_door, engine, TEXTS, answer(2, 3, 4), answer(2), answer(3, 4))
    assert [200, 200] == [one.status for one in answers]
    assert 3 == len(inputs_of(engine))
    engine.otherwise = [answer(1)]
    await asyncio.gather(*(embedding_door.post(TEXTS[0], PATH) for _ in range(3)))
    assert 6 == len(inputs_of(engine))


async def test_tokens_need_no_counting(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """vLLM does not tell the tokens of several texts, but those of inputs that are tokens are known."""
    door = await open_door()
    door.serve_with(engine.replica("r1", profile="vllm", task="embed"))
    async with busy(door, engine, as_tokens=True):
        engine.script(answer(3, 1, 2), path=PATH)
        second = asyncio.create_task(door.post({"model": "m", "input": [5, 6, 7]}, PATH))
        await eventually(lambda: num_waiting(door) == 1)
        third = asyncio.create_task(door.post({"model": "m", "input": [[8], [9, 9]]}, PATH))
        await eventually(lambda: num_waiting(door) == 2)
    assert [([[0, 3]], 3), ([[1, 1], [2, 2]], 3)] == [embeddings(one) for one in (await second, await third)]
    assert [[[5, 6, 7], [8], [9, 9]]] == inputs_of(engine)


async def test_who_leaves_is_not_asked_for(embedding_door: Door, engine: ScriptedEngine) -> None:
    """A client that goes while its request waits takes it along."""
    async with busy(embedding_door, engine):
        engine.script(answer(1), path=PATH)
        staying = asyncio.create_task(embedding_door.post({"model": "m", "input": "stays"}, PATH))
        await eventually(lambda: num_waiting(embedding_door) == 1)
        with await embedding_door.client() as leaving:
            await leaving.post({"model": "m", "input": "leaves"}, PATH)
            await eventually(lambda: num_waiting(embedding_door) == 2)
        await eventually(lambda: num_waiting(embedding_door) == 1)
    await staying
    assert ["stays"] == inputs_of(engine)


async def test_a_merged_answer_is_kept(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """For the request that it answers, as one that was made alone."""
    door = await open_door(store=MemoryStore(1_000_000, MAX_ENTRY_BYTES))
    door.serve_with(engine.replica("r1", task="embed"))
    engine.script(counted(2, 3, 4), path="/tokenize")
    answers = await ask_meanwhile(door, engine, TEXTS, answer(2, 3, 4))
    again = [await door.post(body, PATH) for body in TEXTS]
    assert ["hit", "hit"] == [one.headers["x-enginehouse-cache"] for one in again]
    assert [one.body for one in answers] == [one.body for one in again]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"input": "a"}, True),
        ({"input": [[1, 2], [3]]}, True),
        ({"input": "a", "encoding_format": "base64", "user": "u"}, True),
        ({"input": "a", "truncate_prompt_tokens": 4}, False),
        ({"input": "a" * 1025}, False),
        ({"input": ["a"] * 64}, False),
        ({"input": ["a", ""]}, False),
    ],
    ids=["text", "tokens", "known-fields", "other-fields", "long", "many", "empty"],
)
def test_what_is_merged(body: dict[str, object], *, expected: bool) -> None:
    """Small requests whose every field is known."""
    assert expected == (mergeable_inputs({"model": "m", **body}, MergingPolicy()) is not None)


def test_what_is_not_to_be_merged() -> None:
    """Nothing is, where that is the setting."""
    assert mergeable_inputs({"model": "m", "input": "a"}, MergingPolicy(enabled=False)) is None
