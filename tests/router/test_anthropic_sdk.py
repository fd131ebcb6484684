"""What Anthropic's own client makes of the router's answers: messages, events, and the class of every error."""

import asyncio
from collections.abc import AsyncIterator

import anthropic
import pytest
from anthropic.types import Message, ToolParam
from broken_streams import UNFINISHED
from door import Door, OpenDoor
from scripted_engine import Ending, ScriptedEngine, Step
from wire import (
    CALL_STREAM,
    DONE,
    HELLO_STREAM,
    STREAM_HEAD,
    TOKENS,
    USAGE_EVENT,
    WHOLE,
    stream,
    whole,
)

from configs.router import RequestSettings
from router.metrics import PROMPT_TOKENS, REQUESTS

LOOK: ToolParam = {"name": "look", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}


def client_of(door: Door, key: str = "any", max_retries: int = 1) -> anthropic.AsyncAnthropic:
    """The SDK, which repeats once what it thinks worth repeating."""
    return anthropic.AsyncAnthropic(
        base_url=f"http://127.0.0.1:{door.port}", api_key=key, max_retries=max_retries, timeout=60
    )


@pytest.fixture
async def client(door: Door) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with client_of(door) as opened:
        yield opened


async def ask(client: anthropic.AsyncAnthropic, **fields: object) -> Message:
    asked = {"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}], **fields}
    message = await client.messages.create(**asked)  # type: ignore[call-overload]
    assert isinstance(message, Message)
    return message


async def read(client: anthropic.AsyncAnthropic, **fields: object) -> tuple[Message, list[str]]:
    """A streamed message, and the types of the events that the wire had."""
    asked = {"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}], **fields}
    async with client.messages.stream(**asked) as events:  # type: ignore[arg-type] - any fields
        types: list[str] = [one.type async for one in events]
        return await events.get_final_message(), [one for one in types if one in _MARKS]


_MARKS = {"message_start", "content_block_start", "content_block_stop", "message_stop"}


def blocks(message: Message) -> list[object]:
    """What the wire said of a message's content."""
    return [block.to_dict(exclude_unset=True) for block in message.content]


# answers


async def test_a_whole_message(client: anthropic.AsyncAnthropic, engine: ScriptedEngine) -> None:
    """With its usage and the id of its request."""
    engine.script(WHOLE)
    message = await ask(client, system="Be brief.")
    assert [{"type": "text", "text": "hello"}] == blocks(message)
    assert ("end_turn", "m", 3, 2) == (
        message.stop_reason, message.model, message.usage.input_tokens, message.usage.output_tokens,
    )  # fmt: skip
    assert (message._request_id or "").startswith("req-")
    assert "/v1/chat/completions" == engine.requests[0].path
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert said == engine.requests[0].document["messages"]


async def test_a_stream(client: anthropic.AsyncAnthropic, engine: ScriptedEngine) -> None:
    """Adds up to the message, with its usage."""
    engine.script(HELLO_STREAM)
    message, types = await read(client)
    assert ["message_start", "content_block_start", "content_block_stop", "message_stop"] == types
    assert [{"type": "text", "text": "Hello"}] == blocks(message)
    assert ("end_turn", 3, 2) == (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens)


async def test_thinking_and_a_tool(client: anthropic.AsyncAnthropic, engine: ScriptedEngine) -> None:
    """A block each; the call's input is an object."""
    engine.script(CALL_STREAM)
    message, _ = await read(client, tools=[LOOK], thinking={"type": "adaptive"})
    assert [
        {"type": "thinking", "thinking": "hm", "signature": "ZW5naW5laG91c2U="},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "it"}},
    ] == blocks(message)
    assert "tool_use" == message.stop_reason


async def test_a_round_of_tools(client: anthropic.AsyncAnthropic, engine: ScriptedEngine) -> None:
    """What the SDK gave is what it may send back, with the result."""
    engine.script(CALL_STREAM)
    engine.script(WHOLE)
    message, _ = await read(client, tools=[LOOK])
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "seen"}
    said = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [result]},
    ]
    await ask(client, tools=[LOOK], messages=said)
    asked = engine.requests[1].document["messages"]
    assert isinstance(asked, list)
    assert ["user", "assistant", "tool"] == [one["role"] for one in asked]
    assert '{"at":"it"}' == asked[1]["tool_calls"][0]["function"]["arguments"]


async def test_the_newest_of_claude_code(client: anthropic.AsyncAnthropic, engine: ScriptedEngine) -> None:
    """Its fields, its betas and its roles, at its path."""
    engine.script(WHOLE)
    message = await client.beta.messages.create(
        model="m", max_tokens=32000, betas=["interleaved-thinking-2025-05-14"], thinking={"type": "adaptive"},
        context_management={"edits": []}, metadata={"user_id": "u1"}, output_config={"effort": "high"},
        messages=[{"role": "user", "content": "hi"}, {"role": "system", "content": "x"}],
        system=[{"type": "text", "text": "You code.", "cache_control": {"type": "ephemeral"}}],
    )  # fmt: skip
    assert ["text"] == [block.type for block in message.content]


async def test_models(client: anthropic.AsyncAnthropic) -> None:
    """The list is OpenAI's, and this client reads it all the same."""
    assert ["m", "default"] == [model.id async for model in client.models.list()]


# errors


@pytest.mark.parametrize(
    ("steps", "error", "kind", "num_requests"),
    [
        ([whole({"error": {"message": "bad"}}, 400)], anthropic.BadRequestError, "invalid_request_error", 1),
        ([whole({"error": {"message": "oh"}}, 500)], anthropic.InternalServerError, "api_error", 1),
        ([whole({"error": {"message": "busy"}}, 503)], anthropic.InternalServerError, "overloaded_error", 2),
        ([whole({"error": {"message": "busy"}}, 429)], anthropic.InternalServerError, "overloaded_error", 2),
        ([Ending.RESET], anthropic.InternalServerError, "overloaded_error", 2),
        ([whole({"choices": "none"})], anthropic.InternalServerError, "api_error", 1),
    ],
)  # fmt: skip
async def test_errors_of_the_engine(  # noqa: PLR0913 - the table's columns
    *,
    steps: list[Step],
    error: type[anthropic.APIStatusError],
    kind: str,
    num_requests: int,
    client: anthropic.AsyncAnthropic,
    door: Door,
    engine: ScriptedEngine,
) -> None:
    """The class, the type, and whether the SDK asks again: what would only fail again is not repeated."""
    engine.otherwise = steps
    with pytest.raises(anthropic.APIStatusError) as raised:
        await ask(client)
    assert isinstance(raised.value, error)
    assert kind == raised.value.body["error"]["type"]  # type: ignore[index]
    assert num_requests == door.sink.total(REQUESTS, route="/v1/messages")
    assert 0 == door.sink.total(REQUESTS, code="ok")


@pytest.mark.parametrize(
    ("fields", "error", "kind", "words"),
    [
        ({"model": "unknown"}, anthropic.NotFoundError, "not_found_error", "'unknown'"),
        ({"extra_body": {"temperature": 9}}, anthropic.BadRequestError, "invalid_request_error", "`temperature`"),
        ({"messages": []}, anthropic.BadRequestError, "invalid_request_error", "`messages`"),
    ],
)
async def test_errors_of_the_request(
    fields: dict[str, object],
    error: type[anthropic.APIStatusError],
    kind: str,
    words: str,
    client: anthropic.AsyncAnthropic,
) -> None:
    """Anthropic's envelope, with the field in its words and the request's id beside it."""
    with pytest.raises(error) as raised:
        await ask(client, **fields)
    body = raised.value.body
    assert isinstance(body, dict)
    assert ({"type", "error", "request_id"}, "error") == (set(body), body["type"])
    assert ({"type", "message"}, kind) == (set(body["error"]), body["error"]["type"])
    assert words in body["error"]["message"]
    assert body["request_id"] == raised.value.request_id


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("request (2031 tokens) exceeds the available context size (512 tokens)", "2031 tokens > 512 maximum"),
        ("The prompt has 9 tokens and this model's maximum context length is 8 tokens.", "9 tokens > 8 maximum"),
        ("This model's maximum context length is 8 tokens.", "This model's maximum"),
    ],
)
async def test_a_prompt_that_is_too_long(
    said: str, heard: str, client: anthropic.AsyncAnthropic, engine: ScriptedEngine
) -> None:
    """Begins with the words that Claude Code compacts a conversation at, and the numbers that it reads."""
    engine.script(whole({"error": {"message": said}}, 400))
    with pytest.raises(anthropic.BadRequestError, match=f"prompt is too long: {heard}"):
        await ask(client)


async def test_a_missing_key(open_door: OpenDoor) -> None:
    """Is refused, and the right one accepted, in the header that the SDK uses."""
    door = await open_door(keys=["k1"])
    async with client_of(door, "k2") as client:
        with pytest.raises(anthropic.AuthenticationError) as raised:
            await ask(client)
    assert "authentication_error" == raised.value.body["error"]["type"]  # type: ignore[index]
    async with client_of(door, "k1", max_retries=0) as client:
        with pytest.raises(anthropic.InternalServerError, match="No replica"):
            await ask(client)


async def test_an_engine_that_is_too_slow(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Is a time-out, and the dearest requests are not generated twice."""
    door = await open_door(RequestSettings(first_byte_timeout_s=0.05))
    door.serve_with(engine.replica("r1"))
    engine.otherwise = [STREAM_HEAD, asyncio.Event()]
    async with client_of(door) as client:
        with pytest.raises(anthropic.APIStatusError) as raised:
            await read(client)
    assert (504, "timeout_error") == (raised.value.status_code, raised.value.body["error"]["type"])  # type: ignore[index]
    assert 1 == len(engine.requests)


@pytest.mark.parametrize(
    "steps",
    [*UNFINISHED.values(), [stream(TOKENS, b"data: {not JSON}\n\n", USAGE_EVENT, DONE)]],
    ids=[*UNFINISHED, "not JSON"],
)
async def test_a_broken_stream_is_an_error(
    steps: list[Step], client: anthropic.AsyncAnthropic, door: Door, engine: ScriptedEngine
) -> None:
    """
    Where streams are not resumed: never a shorter message; nothing is asked again behind the caller's back; and it
    counts as what it was.
    """
    door.set_route(reliability={"resume": {"enabled": False}})
    engine.script(*steps)
    with pytest.raises(anthropic.APIStatusError) as raised:
        await read(client)
    assert "api_error" == raised.value.body["error"]["type"]  # type: ignore[index]
    assert 1 == len(engine.requests)
    assert 1 == door.sink.total(REQUESTS, code="engine_failed")


# counting


async def test_tokens_by_llama_cpp(client: anthropic.AsyncAnthropic, engine: ScriptedEngine) -> None:
    """Its template makes the prompt, tools and all, and its tokeniser counts it."""
    engine.script(whole({"prompt": "<user>hi"}), path="/apply-template")
    engine.script(whole({"tokens": [1, 2, 3]}), path="/tokenize")
    counted = await client.messages.count_tokens(
        model="m", messages=[{"role": "user", "content": "hi"}], system="s", tools=[LOOK]
    )
    assert 3 == counted.input_tokens
    template, tokens = engine.requests
    assert {"messages", "tools"} == set(template.document)
    assert "<user>hi" == tokens.document["content"]


async def test_tokens_by_vllm(door: Door, client: anthropic.AsyncAnthropic, engine: ScriptedEngine) -> None:
    """One question."""
    door.serve_with(engine.replica("r2", profile="vllm"))
    engine.script(whole({"count": 7, "max_model_len": 64, "tokens": []}), path="/tokenize")
    counted = await client.messages.count_tokens(model="m", messages=[{"role": "user", "content": "hi"}])
    assert 7 == counted.input_tokens
    assert {"model", "messages"} == set(engine.requests[0].document)


@pytest.mark.parametrize("profile", ["front", None])
async def test_tokens_by_estimate(
    profile: str | None, door: Door, client: anthropic.AsyncAnthropic, engine: ScriptedEngine
) -> None:
    """Where the engine has no such route, or is not there."""
    door.serve_with(*([engine.replica("r2", profile=profile)] if profile else []))
    answer = await client.messages.with_raw_response.count_tokens(
        model="m", messages=[{"role": "user", "content": "word " * 400}]
    )
    assert "estimate" == answer.headers["x-enginehouse-token-count"]
    counted = await answer.parse()
    assert 500 < counted.input_tokens < 520
    assert [] == engine.requests


async def test_counting_a_mistake(client: anthropic.AsyncAnthropic) -> None:
    """Is refused as any request with it."""
    with pytest.raises(anthropic.BadRequestError, match="`messages`"):
        await client.messages.count_tokens(model="m", messages=[])


async def test_what_is_recorded(client: anthropic.AsyncAnthropic, door: Door, engine: ScriptedEngine) -> None:
    """The route that the client asked, and the tokens that the engine read, as of any other."""
    engine.script(WHOLE)
    await ask(client)
    await client.messages.count_tokens(model="m", messages=[{"role": "user", "content": "hi"}])
    assert [1, 1] == [
        door.sink.total(REQUESTS, route=route, code="ok", model="m")
        for route in ("/v1/messages", "/v1/messages/count_tokens")
    ]
    assert 3 == door.sink.total(PROMPT_TOKENS, model="m")
