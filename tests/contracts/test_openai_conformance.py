"""What every engine's answers look like to a client, field by field: OpenAI's shapes, whoever generates."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio
from contract_engines import ContractEngine

from deployments.engines.runtime import EngineRuntime

Json = dict[str, Any]

CHAT: Json = {"model": "m", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 6, "temperature": 0}
COMPLETION: Json = {"model": "m", "prompt": "Once upon a time", "max_tokens": 6, "temperature": 0}
TOOL: Json = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks a word up.",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
    },
}
PATHS = {"chat": "/v1/chat/completions", "completion": "/v1/completions"}

# One loop for all: an engine that is shared between tests belongs to the loop that started it.
pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def session(runtime: EngineRuntime) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {runtime.address.secret}"}
    # llama.cpp closes a connection behind a stream without a word; each request has one of its own.
    connector = aiohttp.TCPConnector(force_close=True)
    base_url = f"http://127.0.0.1:{runtime.address.port}"
    async with aiohttp.ClientSession(base_url, headers=headers, connector=connector) as session:
        yield session


async def whole(session: aiohttp.ClientSession, path: str, body: Json) -> Json:
    async with session.post(path, json=body) as response:
        document: Json = await response.json()
        return document


async def chunks(session: aiohttp.ClientSession, path: str, body: Json) -> list[Json]:
    """A stream's events without the end mark, which must be the last."""
    async with session.post(path, json={**body, "stream": True}) as response:
        text = (await response.read()).decode()
    *datas, last = [event.removeprefix("data: ") for event in text.strip().split("\n\n")]
    assert "data: [DONE]" == f"data: {last}"
    return [orjson.loads(data) for data in datas]


def body_for(shape: str) -> Json:
    return CHAT if shape == "chat" else COMPLETION


every_shape = pytest.mark.parametrize("shape", ["chat", "completion"])


@every_shape
async def test_all_chunks_of_a_stream_have_one_id(session: aiohttp.ClientSession, shape: str) -> None:
    """A stream has one id and one model; two streams have two ids."""
    streams = [await chunks(session, PATHS[shape], body_for(shape)) for _ in range(2)]
    identities = [{(chunk["id"], chunk["model"]) for chunk in stream} for stream in streams]

    assert ([1, 1], 2) == ([len(identity) for identity in identities], len(set.union(*identities)))


@every_shape
async def test_answers_name_their_object(session: aiohttp.ClientSession, shape: str) -> None:
    """A whole answer and a chunk say what they are, and name the model as it was asked for."""
    answer = await whole(session, PATHS[shape], body_for(shape))
    chunk, *_ = await chunks(session, PATHS[shape], body_for(shape))
    expected = ("chat.completion", "chat.completion.chunk") if shape == "chat" else ("text_completion",) * 2

    assert (*expected, "m", "m") == (answer["object"], chunk["object"], answer["model"], chunk["model"])


async def test_only_the_first_delta_has_a_role(session: aiohttp.ClientSession) -> None:
    """
    The assistant says who it is once, at the beginning.

    Greedily: llama.cpp sends no role when its first token is only the first bytes of a character.
    """
    answer = await chunks(session, PATHS["chat"], {**CHAT, "temperature": 0})
    deltas = [chunk["choices"][0]["delta"] for chunk in answer]

    assert ["assistant"] + [None] * (len(deltas) - 1) == [delta.get("role") for delta in deltas]


@every_shape
async def test_only_the_last_chunk_has_a_finish_reason(session: aiohttp.ClientSession, shape: str) -> None:
    """A stream that reached its limit says so, at its end."""
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in await chunks(session, PATHS[shape], body_for(shape))]

    assert [None] * (len(reasons) - 1) + ["length"] == reasons


@every_shape
async def test_usage_adds_up(session: aiohttp.ClientSession, shape: str) -> None:
    """Tokens of the prompt and of the answer make the total, in a stream as in a whole answer."""
    asked = {**body_for(shape), "stream_options": {"include_usage": True}}
    *_, last = await chunks(session, PATHS[shape], asked)
    usages = [(await whole(session, PATHS[shape], body_for(shape)))["usage"], last["usage"]]

    assert [(6, True), (6, True)] == [
        (usage["completion_tokens"], usage["prompt_tokens"] + 6 == usage["total_tokens"]) for usage in usages
    ]


@every_shape
async def test_usage_has_an_event_only_when_asked_for(session: aiohttp.ClientSession, shape: str) -> None:
    """A stream that was not asked for usage has no event for it."""
    stream = await chunks(session, PATHS[shape], body_for(shape))

    assert [] == [chunk for chunk in stream if not chunk["choices"]]


async def test_the_newer_limit_is_obeyed(session: aiohttp.ClientSession) -> None:
    """`max_completion_tokens` limits a chat as `max_tokens` does."""
    body = {key: value for key, value in CHAT.items() if key != "max_tokens"}
    answer = await whole(session, PATHS["chat"], {**body, "max_completion_tokens": 3})

    assert ("length", 3) == (answer["choices"][0]["finish_reason"], answer["usage"]["completion_tokens"])


async def test_an_error_is_an_object_with_words(session: aiohttp.ClientSession) -> None:
    """A request that no engine can take is 400, with a message and a type."""
    async with session.post(PATHS["chat"], json={"model": "m", "messages": "Say hello."}) as response:
        error = (await response.json())["error"]

    assert (400, str, str, True) == (
        response.status,
        type(error["message"]),
        type(error["type"]),
        len(error["message"]) > 0,
    )


async def test_a_tool_is_called(kind: ContractEngine, session: aiohttp.ClientSession) -> None:
    """A call has an id, a name, and arguments that are JSON."""
    if not kind.calls_tools:
        pytest.skip("it has no model that calls tools here")
    answer = await whole(session, PATHS["chat"], {**CHAT, "max_tokens": 100, "tools": [TOOL]})
    choice = answer["choices"][0]
    call = choice["message"]["tool_calls"][0]

    assert ("tool_calls", "function", "look_up", {"word"}, True) == (
        choice["finish_reason"],
        call["type"],
        call["function"]["name"],
        set(orjson.loads(call["function"]["arguments"])),
        len(call["id"]) > 0,
    )


async def test_a_streamed_tool_call_can_be_put_together(kind: ContractEngine, session: aiohttp.ClientSession) -> None:
    """The deltas of a call have an index; the first has id and name; together the arguments are JSON."""
    if not kind.calls_tools:
        pytest.skip("it has no model that calls tools here")
    stream = await chunks(session, PATHS["chat"], {**CHAT, "max_tokens": 100, "tools": [TOOL]})
    choices = [chunk["choices"][0] for chunk in stream]
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls") or []]
    arguments = "".join(call["function"].get("arguments") or "" for call in calls)

    assert ({0}, "look_up", {"word"}, "tool_calls") == (
        {call["index"] for call in calls},
        calls[0]["function"]["name"],
        set(orjson.loads(arguments)),
        choices[-1]["finish_reason"],
    )


async def test_the_load_follows_the_requests(runtime: EngineRuntime, session: aiohttp.ClientSession) -> None:
    """A running request is counted, and none afterwards; the use of the KV cache is a ratio, or is not told."""
    body = {**COMPLETION, "max_tokens": 300, "ignore_eos": True, "stream": True}
    response = await session.post(PATHS["completion"], json=body)
    await response.content.readuntil(b"\n\n")
    async with asyncio.timeout(150):
        while (during := await runtime.load()).num_running == 0:  # noqa: ASYNC110  it tells no event
            await asyncio.sleep(0.01)
    response.close()
    await runtime.drain(timeout_s=150)
    after = await runtime.load()

    assert (1, 0, 0) == (during.num_running, during.num_waiting, after.num_running)
    assert all(load.kv_cache_usage_ratio is None or 0 <= load.kv_cache_usage_ratio <= 1 for load in (during, after))


async def test_an_abandoned_answer_is_not_an_error(session: aiohttp.ClientSession) -> None:
    """A client that leaves before its answer begins leaves a well engine behind."""
    timeout = aiohttp.ClientTimeout(total=0.05)
    body = {**COMPLETION, "max_tokens": 300}
    with contextlib.suppress(TimeoutError):
        async with session.post(PATHS["completion"], json=body, timeout=timeout):
            pass

    assert 6 == (await whole(session, PATHS["completion"], COMPLETION))["usage"]["completion_tokens"]
