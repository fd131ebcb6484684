"""What the server answers, in OpenAI's form. The answers are as version 1.3.0rc3 gave them."""

from typing import Any

import orjson

from deployments.engines.front.dialect import Conversation
from deployments.engines.tensorrt_llm.chat import ChatConversation
from deployments.engines.tensorrt_llm.completion import CompletionConversation

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
USAGE = {"prompt_tokens": 2, "total_tokens": 4, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}


def chat(**fields: Any) -> ChatConversation:
    body = {"model": "alias", "messages": [{"role": "user", "content": "Hi"}], **fields}
    return ChatConversation(body, has_tools=True)


def chunk(number: int, delta: dict[str, Any], **choice: Any) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion.chunk",
        "created": 1000 + number,
        "model": "anything",
        "choices": [{"index": 0, "delta": delta, "avg_decoded_tokens_per_iter": 1.0, **choice}],
    }


def passed(conversation: Conversation, *events: dict[str, Any]) -> list[dict[str, Any]]:
    kept = [conversation.event(event) for event in events]
    return [event for event in (*kept, conversation.ending()) if event is not None]


def test_a_stream_has_one_identity() -> None:
    """The server gives each chunk an id and a time of its own, and repeats any model's name."""
    events = passed(
        chat(stream=True), chunk(1, {"role": "assistant"}), chunk(2, {"content": "h"}), chunk(3, {"content": "i"})
    )

    assert (1, 1, {"alias"}) == (
        len({event["id"] for event in events}),
        len({event["created"] for event in events}),
        {event["model"] for event in events},
    )


def test_deltas_lose_what_only_the_server_knows() -> None:
    """Empty reasoning and the server's own figures are not OpenAI's."""
    (event,) = passed(chat(stream=True), chunk(1, {"content": "h", "reasoning_content": ""}))

    assert [{"index": 0, "delta": {"content": "h"}, "finish_reason": None}] == event["choices"]


def test_a_stream_says_which_stop_string_ended_it() -> None:
    """As a whole answer does: who asked by Anthropic's API is told."""
    ending = chunk(1, {"content": ""}, finish_reason="stop", stop_reason="END")
    (event,) = passed(chat(stream=True), ending)

    assert ("stop", "END") == (event["choices"][0]["finish_reason"], event["choices"][0]["stop_reason"])


def test_reasoning_is_kept() -> None:
    """Reasoning that a parser found stays where it is."""
    (event,) = passed(chat(stream=True), chunk(1, {"content": "", "reasoning_content": "so"}))

    assert {"reasoning_content": "so"} == event["choices"][0]["delta"]


def test_a_streamed_call_ends_with_its_reason() -> None:
    """The server ends a call with `stop`, and sends empty content along with each part."""
    call = {"id": "c1", "type": "function", "index": 0, "function": {"name": "f", "arguments": "{}"}}
    events = passed(
        chat(stream=True, tools=[TOOL]),
        chunk(1, {"content": "", "tool_calls": [call]}),
        chunk(2, {"content": ""}, finish_reason="stop"),
    )

    assert [({"tool_calls": [call]}, None), ({"content": ""}, "tool_calls")] == [
        (event["choices"][0]["delta"], event["choices"][0]["finish_reason"]) for event in events
    ]


def test_usage_comes_on_a_chunk_of_its_own() -> None:
    """Usage beside choices is taken off; the last chunk keeps it."""
    beside = {**chunk(1, {"content": "h"}), "usage": USAGE}
    last = {"id": "x", "object": "chat.completion.chunk", "choices": [], "usage": USAGE}
    events = passed(chat(stream=True), beside, last)

    assert [None, USAGE] == [event.get("usage") for event in events]


def test_a_whole_answer_is_tidy() -> None:
    """Only OpenAI's fields are left, and the model has the name that was asked for."""
    message = {"role": "assistant", "content": "hi", "reasoning_content": "", "reasoning": None, "tool_calls": []}
    choice = {"index": 0, "message": message, "mm_embedding_handle": None, "finish_reason": "stop"}
    answer = chat().answer({"id": "a", "model": "x", "choices": [choice], "usage": USAGE, "prompt_token_ids": None})

    assert ({"role": "assistant", "content": "hi"}, "alias", False) == (
        answer["choices"][0]["message"],
        answer["model"],
        "prompt_token_ids" in answer,
    )


def test_a_demanded_call_is_read_from_the_text() -> None:
    """The text that the schema forced becomes the call, in a whole answer."""
    text = '{"name": "f", "arguments": {"a": 1}}'
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    (answered,) = chat(tools=[TOOL], tool_choice="required").answer({"choices": [choice]})["choices"]
    (call,) = answered["message"]["tool_calls"]

    assert (None, "f", {"a": 1}, "tool_calls") == (
        answered["message"]["content"],
        call["function"]["name"],
        orjson.loads(call["function"]["arguments"]),
        answered["finish_reason"],
    )


def test_a_demanded_call_is_streamed_in_one_piece() -> None:
    """The text is kept back until it is whole; no part of it is shown as content."""
    events = passed(
        chat(stream=True, tools=[TOOL], tool_choice="required"),
        chunk(1, {"role": "assistant"}),
        chunk(2, {"content": '{"name": "f", '}),
        chunk(3, {"content": '"arguments": {}}'}, finish_reason="stop"),
    )
    deltas = [event["choices"][0]["delta"] for event in events]

    assert ([{"role": "assistant"}, "f", "tool_calls"]) == [
        deltas[0],
        deltas[1]["tool_calls"][0]["function"]["name"],
        events[1]["choices"][0]["finish_reason"],
    ]


def test_a_demanded_call_that_was_cut_is_shown_as_it_is() -> None:
    """What max_tokens cut off is no call: the client sees the text and the reason."""
    events = passed(
        chat(stream=True, tools=[TOOL], tool_choice="required"),
        chunk(1, {"content": '{"name": "f"'}, finish_reason="length"),
    )

    assert ({"content": '{"name": "f"'}, "length") == (
        events[0]["choices"][0]["delta"],
        events[0]["choices"][0]["finish_reason"],
    )


def test_the_usage_of_several_prompts_is_one() -> None:
    """The server tells it for each prompt, in the middle of the stream and as a chat's; OpenAI once, at the end."""
    conversation = CompletionConversation({"model": "alias", "prompt": ["a", "b"], "stream": True})
    text = {"object": "text_completion", "choices": [{"index": 0, "text": "h", "token_ids": None}], "usage": None}
    usage = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": USAGE}
    events = passed(conversation, {**text}, {**usage}, {**text}, {**usage})

    assert (3, {"text_completion"}, 8, 2) == (
        len(events),
        {event["object"] for event in events},
        events[-1]["usage"]["total_tokens"],
        events[-1]["usage"]["prompt_tokens_details"]["cached_tokens"],
    )
