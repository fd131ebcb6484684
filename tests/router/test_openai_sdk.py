"""What the official client makes of the router's answers: chunks, objects, and the class of every error."""

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest
from broken_streams import UNFINISHED
from door import Door, OpenDoor
from scripted_engine import Ending, ScriptedEngine, Step
from wire import CHAT, STREAM, STREAM_HEAD, WHOLE, whole

from configs.router import RequestSettings
from router.metrics import REQUESTS

MESSAGES = CHAT["messages"]


@pytest.fixture
async def client(door: Door) -> AsyncIterator[openai.AsyncOpenAI]:
    """The SDK, which repeats once what it thinks worth repeating."""
    async with openai.AsyncOpenAI(
        base_url=f"http://127.0.0.1:{door.port}/v1", api_key="any", max_retries=1, timeout=60
    ) as opened:
        yield opened


async def ask(client: openai.AsyncOpenAI, **fields: object) -> object:
    return await client.chat.completions.create(**{"model": "m", "messages": MESSAGES, **fields})  # type: ignore[call-overload]


async def read(client: openai.AsyncOpenAI, **fields: object) -> list[str]:
    """The tokens of a streamed chat."""
    chunks = await ask(client, stream=True, **fields)
    return [one.choices[0].delta.content or "" async for one in chunks if one.choices]  # type: ignore[attr-defined]


async def test_a_whole_answer(client: openai.AsyncOpenAI, engine: ScriptedEngine) -> None:
    """With its usage and the id of its request."""
    engine.script(WHOLE)
    completion = await ask(client)
    assert isinstance(completion, openai.types.chat.ChatCompletion)
    assert "hello" == completion.choices[0].message.content
    assert completion.usage is not None
    assert 5 == completion.usage.total_tokens
    assert (completion._request_id or "").startswith("req-")


async def test_a_stream(client: openai.AsyncOpenAI, engine: ScriptedEngine) -> None:
    """Token for token."""
    engine.script(STREAM)
    assert ["Hel", "lo"] == await read(client)


async def test_models(client: openai.AsyncOpenAI) -> None:
    """Listed, and by name."""
    assert ["m", "default"] == [model.id async for model in client.models.list()]
    assert "default" == (await client.models.retrieve("default")).id


@pytest.mark.parametrize(
    ("steps", "error", "code", "num_requests"),
    [
        ([whole({"error": {"message": "bad"}}, 400)], openai.BadRequestError, "invalid_request", 1),
        ([whole({"error": {"message": "maximum context length"}}, 400)], openai.BadRequestError,
         "context_length_exceeded", 1),
        ([whole({"error": {"message": "no key"}}, 401)], openai.InternalServerError, "engine_failed", 1),
        ([whole({"error": {"message": "oh"}}, 500)], openai.InternalServerError, "engine_failed", 1),
        ([whole({"error": {"message": "busy"}}, 503)], openai.InternalServerError, "engine_overloaded", 2),
        ([whole({"error": {"message": "busy"}}, 429)], openai.InternalServerError, "engine_overloaded", 2),
        ([Ending.RESET], openai.InternalServerError, "engine_unavailable", 2),
    ],
)  # fmt: skip
async def test_errors_of_the_engine(  # noqa: PLR0913 - the table's columns
    *,
    steps: list[Step],
    error: type[openai.APIStatusError],
    code: str,
    num_requests: int,
    client: openai.AsyncOpenAI,
    door: Door,
    engine: ScriptedEngine,
) -> None:
    """The class, the code, and whether the SDK asks again: what would only fail again is not repeated."""
    engine.otherwise = steps
    with pytest.raises(openai.APIStatusError) as raised:
        await ask(client)
    assert error is type(raised.value)
    assert code == raised.value.code
    assert num_requests == door.sink.total(REQUESTS, code=code)


@pytest.mark.parametrize(
    ("fields", "error", "code", "param"),
    [
        ({"model": "unknown"}, openai.NotFoundError, "model_not_found", "model"),
        ({"temperature": 9}, openai.BadRequestError, "invalid_request", "temperature"),
        ({"messages": []}, openai.BadRequestError, "invalid_request", "messages"),
    ],
)
async def test_errors_of_the_request(
    fields: dict[str, object], error: type[openai.APIStatusError], code: str, param: str, client: openai.AsyncOpenAI
) -> None:
    """The SDK reads type, param, code and the request's id from the envelope."""
    with pytest.raises(error) as raised:
        await ask(client, **fields)
    assert (code, param, "invalid_request_error") == (raised.value.code, raised.value.param, raised.value.type)
    assert (raised.value.request_id or "").startswith("req-")


async def test_a_missing_key(open_door: OpenDoor) -> None:
    """Is not asked for again."""
    door = await open_door(keys=["k1"])
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{door.port}/v1", api_key="k2") as client:
        with pytest.raises(openai.AuthenticationError) as raised:
            await ask(client)
    assert "invalid_api_key" == raised.value.code
    assert 1 == door.sink.total(REQUESTS)


async def test_an_engine_that_is_too_slow(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """The dearest requests are not generated twice."""
    door = await open_door(RequestSettings(first_byte_timeout_s=0.05))
    door.serve_with(engine.replica("r1"))
    engine.otherwise = [STREAM_HEAD, asyncio.Event()]
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{door.port}/v1", api_key="any") as client:
        with pytest.raises(openai.InternalServerError) as raised:
            await read(client)
    assert (504, "engine_timeout") == (raised.value.status_code, raised.value.code)
    assert 1 == len(engine.requests)


@pytest.mark.parametrize(
    "steps",
    UNFINISHED.values(),
    ids=UNFINISHED,
)
async def test_a_broken_stream_is_an_error(
    steps: list[Step], client: openai.AsyncOpenAI, door: Door, engine: ScriptedEngine
) -> None:
    """Never a shorter answer, where the engine cannot go on; nothing is asked again behind the caller's back."""
    door.serve_with(engine.replica("front", profile="front"))
    engine.script(*steps)
    with pytest.raises(openai.APIError) as raised:
        await read(client)
    assert "engine_failed" == raised.value.code
    assert 1 == len(engine.requests)
