"""What OpenAI's own client makes of the router's responses: items, events, and errors."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import orjson
import pytest
from broken_streams import UNFINISHED
from door import Door
from openai.types.responses import Response
from scripted_engine import ScriptedEngine, Step
from wire import (
    CALL_HEAD,
    CALL_STREAM,
    DONE,
    HELLO_STREAM,
    TOKENS,
    USAGE_EVENT,
    WHOLE,
    part,
    stream,
    whole,
)

from router.metrics import REQUESTS

LOOK = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": None}
CUT = stream(TOKENS, part({}, "length"), USAGE_EVENT, DONE)


@pytest.fixture
async def client(door: Door) -> AsyncIterator[openai.AsyncOpenAI]:
    """The SDK, which repeats once what it thinks worth repeating."""
    async with openai.AsyncOpenAI(
        base_url=f"http://127.0.0.1:{door.port}/v1", api_key="any", max_retries=1, timeout=60
    ) as opened:
        yield opened


async def ask(client: openai.AsyncOpenAI, **fields: object) -> Response:
    response = await client.responses.create(**{"model": "m", "input": "hi", **fields})  # type: ignore[call-overload]
    assert isinstance(response, Response)
    return response


async def read(client: openai.AsyncOpenAI, **fields: object) -> tuple[Response, list[Any]]:
    """A streamed response, and the events that the wire had, each with its number."""
    asked = {"model": "m", "input": "hi", "stream": True, **fields}
    events = [one async for one in await client.responses.create(**asked)]  # type: ignore[call-overload]
    assert list(range(len(events))) == [one.sequence_number for one in events]
    response = events[-1].response
    assert isinstance(response, Response)
    return response, events


def messages_of(engine: ScriptedEngine) -> Any:
    return engine.requests[-1].document["messages"]


# answers


async def test_a_whole_response(client: openai.AsyncOpenAI, engine: ScriptedEngine) -> None:
    """With its text, its usage, and what was asked."""
    engine.script(WHOLE)
    response = await ask(client, instructions="Be brief.", temperature=0, max_output_tokens=8)
    assert ("hello", "completed", "Be brief.", 8) == (
        response.output_text, response.status, response.instructions, response.max_output_tokens,
    )  # fmt: skip
    assert response.usage is not None
    assert (3, 2, 5) == (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens)
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert {"model": "m", "messages": said, "temperature": 0, "max_tokens": 8} == engine.requests[0].document


async def test_a_stream(client: openai.AsyncOpenAI, engine: ScriptedEngine) -> None:
    """Event for event, to `response.completed`, which has all of it."""
    engine.script(HELLO_STREAM)
    response, events = await read(client)
    assert [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
        "response.output_text.delta", "response.output_text.delta", "response.output_text.done",
        "response.content_part.done", "response.output_item.done", "response.completed",
    ] == [one.type for one in events]  # fmt: skip
    assert ("Hello", "completed") == (response.output_text, response.status)
    assert response.usage is not None
    assert 5 == response.usage.total_tokens


async def test_the_sdk_adds_a_stream_up(client: openai.AsyncOpenAI, engine: ScriptedEngine) -> None:
    """Its own helper ends with the same."""
    engine.script(CALL_STREAM)
    async with client.responses.stream(model="m", input="hi", tools=[LOOK]) as events:  # type: ignore[list-item]
        async for _ in events:
            pass
        final = await events.get_final_response()
    assert ["reasoning", "message", "function_call"] == [item.type for item in final.output]
    assert "I look." == final.output_text


async def test_reasoning_and_a_call(client: openai.AsyncOpenAI, engine: ScriptedEngine) -> None:
    """An item each, the same as a stream and as a whole."""
    calls = [{**CALL_HEAD, "function": {"name": "look", "arguments": '{"at":"it"}'}}]
    message = {"role": "assistant", "content": "I look.", "reasoning_content": "hm", "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    engine.script(CALL_STREAM)
    streamed, _ = await read(client, tools=[LOOK])
    engine.script(whole({"id": "chatcmpl-1", "model": "m", "choices": [choice]}))
    asked = await ask(client, tools=[LOOK])
    reasoning, said, call = (item.to_dict() for item in streamed.output)
    assert [{"type": "reasoning_text", "text": "hm"}] == reasoning["content"]
    assert "I look." == said["content"][0]["text"]  # type: ignore[index]
    assert ("c1", "look", '{"at":"it"}') == (call["call_id"], call["name"], call["arguments"])
    assert [reasoning, said, call] == [item.to_dict() for item in asked.output]


async def test_an_answer_that_a_limit_cut(client: openai.AsyncOpenAI, engine: ScriptedEngine) -> None:
    """Is incomplete, and says why."""
    engine.script(CUT)
    response, events = await read(client)
    assert ("response.incomplete", "incomplete") == (events[-1].type, response.status)
    assert response.incomplete_details is not None
    assert "max_output_tokens" == response.incomplete_details.reason


async def test_a_round_of_tools(client: openai.AsyncOpenAI, engine: ScriptedEngine) -> None:
    """What came out may go in again, with the result."""
    engine.script(CALL_STREAM)
    response, _ = await read(client, tools=[LOOK])
    engine.script(WHOLE)
    result = {"type": "function_call_output", "call_id": "c1", "output": "seen"}
    items = [item.to_dict() for item in response.output]
    await ask(client, tools=[LOOK], input=[{"role": "user", "content": "hi"}, *items, result])
    user, assistant, tool = messages_of(engine)
    assert {"role": "user", "content": "hi"} == user
    assert ("I look.", '{"at":"it"}') == (assistant["content"], assistant["tool_calls"][0]["function"]["arguments"])
    assert {"role": "tool", "tool_call_id": "c1", "content": "seen"} == tool


async def test_what_codex_sends(client: openai.AsyncOpenAI, engine: ScriptedEngine) -> None:
    """Roles and groups of tools are the engine's own; tools and fields that no engine has are passed over."""
    engine.script(HELLO_STREAM)
    tools = [
        LOOK,
        {"type": "namespace", "name": "n", "tools": [LOOK]},
        {"type": "web_search"},
        {"type": "custom", "name": "p"},
        {"type": "hologram"},
    ]
    said = [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
    ]
    await read(
        client, input=said, instructions="You code.", tools=tools, tool_choice="auto", store=False,
        include=["reasoning.encrypted_content"], prompt_cache_key="k", reasoning={"summary": "auto"},
        extra_body={"client_metadata": {"a": "b"}}, parallel_tool_calls=False,
    )  # fmt: skip
    document = engine.requests[0].document
    assert {
        "model", "messages", "stream", "stream_options", "tools", "tool_choice", "prompt_cache_key",
        "parallel_tool_calls",
    } == set(document)  # fmt: skip
    assert [{"role": "system", "content": "You code.\nBe brief."}, {"role": "user", "content": "hi"}] == document[
        "messages"
    ]
    names = [tool["function"]["name"] for tool in document["tools"]]  # type: ignore[attr-defined]
    assert ["look", "n__look", "p"] == names


async def test_an_image_and_a_schema(client: openai.AsyncOpenAI, engine: ScriptedEngine) -> None:
    """In a chat completion's words."""
    engine.script(WHOLE)
    look: list[object] = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
    ]
    wanted = {"type": "json_schema", "name": "reply", "strict": True, "schema": {"type": "object"}}
    await ask(client, input=[{"role": "user", "content": look}], text={"format": wanted}, reasoning={"effort": "xhigh"})
    parts = messages_of(engine)[0]["content"]
    assert {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}} == parts[1]
    document = engine.requests[0].document
    schema = {"name": "reply", "strict": True, "schema": {"type": "object"}}
    assert {"type": "json_schema", "json_schema": schema} == document["response_format"]
    assert "high" == document["reasoning_effort"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", "required"),
        ({"type": "function", "name": "look"}, {"type": "function", "function": {"name": "look"}}),
        ({"type": "allowed_tools", "mode": "auto", "tools": []}, "auto"),
        ({"type": "web_search"}, None),
    ],
)
async def test_tool_choice(
    choice: object, expected: object, door: Door, client: openai.AsyncOpenAI, engine: ScriptedEngine
) -> None:
    """In a chat completion's words; none where its tool was left out."""
    door.serve_with(engine.replica("r2", "vllm"))
    engine.script(WHOLE)
    await ask(client, tools=[LOOK], tool_choice=choice)
    assert expected == engine.requests[0].document.get("tool_choice")


# errors


async def test_a_response_that_is_not_kept(client: openai.AsyncOpenAI) -> None:
    """The one code at which Copilot sends the whole conversation again."""
    with pytest.raises(openai.BadRequestError) as raised:
        await ask(client, previous_response_id="resp_gone")
    assert ("previous_response_not_found", "previous_response_id") == (raised.value.code, raised.value.param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 3}, "input"),
        ({"input": [{"role": "", "content": "a", "type": "message"}]}, "input[0].role"),
        ({"input": [{"role": ["user"], "content": "a"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": {}}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].file_data"),
        ({"input": [{"type": "function_call"}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call", "arguments": "{}", "call_id": "c"}]}, "input[0].name"),
        ({"input": [{"type": "function_call_output", "output": "a"}]}, "input[0].call_id"),
        ({"input": [{"type": "item_reference", "id": "a"}]}, "input[0]"),
        ({"instructions": 3}, "instructions"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [LOOK], "tool_choice": "some"}, "tool_choice"),
        ({"tools": [LOOK], "tool_choice": {"type": "function", "name": "gone"}}, "tool_choice.name"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"background": True}, "background"),
        ({"conversation": "c"}, "conversation"),
        ({"reasoning": "deep"}, "reasoning"),
    ],
)  # fmt: skip
async def test_a_mistake_is_named(fields: dict[str, object], param: str, door: Door) -> None:
    """By the field where it is, in OpenAI's envelope."""
    answer = await door.post({"model": "m", "input": "hi", **fields}, "/v1/responses")
    assert (400, param) == (answer.status, answer.error["param"])


@pytest.mark.parametrize(
    "steps",
    UNFINISHED.values(),
    ids=UNFINISHED,
)
async def test_a_broken_stream_is_an_error(
    steps: list[Step], client: openai.AsyncOpenAI, door: Door, engine: ScriptedEngine
) -> None:
    """Never a shorter response."""
    engine.script(*steps)
    with pytest.raises(openai.APIError) as raised:
        await read(client)
    assert "engine_failed" == raised.value.code
    assert 1 == door.sink.total(REQUESTS, route="/v1/responses", code="engine_failed")


async def test_a_prompt_that_is_too_long(client: openai.AsyncOpenAI, engine: ScriptedEngine) -> None:
    """Has the code that clients compact a conversation at, and the field's name here."""
    engine.script(whole({"error": {"message": "This model's maximum context length is 8 tokens."}}, 400))
    with pytest.raises(openai.BadRequestError) as raised:
        await ask(client)
    assert ("context_length_exceeded", "input") == (raised.value.code, raised.value.param)


async def test_an_engine_that_is_busy(door: Door, engine: ScriptedEngine) -> None:
    """Is 503, which Codex tries again, and never 429, at which it gives up."""
    engine.otherwise = [whole({"error": {"message": "busy"}}, 429)]
    answer = await door.post({"model": "m", "input": "hi"}, "/v1/responses")
    assert (503, "engine_overloaded") == (answer.status, answer.error["code"])
    assert orjson.loads(answer.body).keys() == {"error"}
