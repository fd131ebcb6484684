"""`deployments/engines/ollama/conversation.py`: what Ollama would misunderstand, and what it says with an accent."""

from typing import Any

import pytest

from deployments.engines.front.dialect import RequestRefused
from deployments.engines.ollama.conversation import CHAT, COMPLETIONS, OllamaConversation

Json = dict[str, Any]

USER: Json = {"role": "user", "content": "Hi"}
EMPTY_CALL: Json = {"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}


def chat(**fields: Any) -> OllamaConversation:
    return OllamaConversation(CHAT, {"model": "m", "messages": [USER], **fields}, "tiny:1b")


def completion(**fields: Any) -> OllamaConversation:
    return OllamaConversation(COMPLETIONS, {"model": "m", "prompt": "Hi", **fields}, "tiny:1b")


def chunk(delta: Json, reason: str | None = None, **more: Any) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "chatcmpl-7", "created": 1, "model": "tiny:1b", "choices": [choice], **more}


# requests


def test_a_plain_chat_is_left_alone() -> None:
    """Nothing but the model's name is changed where nothing has to be."""
    conversation = chat(temperature=0, tools=[{"type": "function"}], top_k=3)

    assert {
        "model": "tiny:1b",
        "messages": [USER],
        "temperature": 0,
        "tools": [{"type": "function"}],
        "top_k": 3,
    } == conversation.request


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_completion_tokens": 5}, 5),
        ({"max_completion_tokens": 5, "max_tokens": None}, 5),
        ({"max_completion_tokens": 5, "max_tokens": 3}, 3),
        ({"max_tokens": 3}, 3),
    ],
)
def test_the_limit_has_the_name_that_ollama_knows(fields: Json, expected: int) -> None:
    """Ollama does not read `max_completion_tokens`, and without a limit may never end."""
    request = chat(**fields).request

    assert (expected, False) == (request["max_tokens"], "max_completion_tokens" in request)


def test_no_tools_means_none() -> None:
    """Ollama does not read `tool_choice`: tools that must not be called are left out."""
    assert "tools" not in chat(tools=[{}], tool_choice="none").request


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"role": "assistant", "content": None}, {"role": "assistant", "content": ""}),
        ({"role": "developer", "content": "x"}, {"role": "system", "content": "x"}),
        (
            {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": t} for t in "ab"]},
            {"role": "tool", "tool_call_id": "c", "content": "a\nb"},
        ),
        (
            {"role": "assistant", "content": None, "tool_calls": [EMPTY_CALL]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{**EMPTY_CALL, "function": {"name": "f", "arguments": "{}"}}],
            },
        ),
    ],
)
def test_messages_that_ollama_refuses_or_loses_are_put_in_its_words(message: Json, expected: Json) -> None:
    """Content that is null, the newer role, a tool's answer in parts, and a call without arguments."""
    assert [USER, expected] == chat(messages=[USER, message]).request["messages"]


def test_a_request_is_not_changed_in_place() -> None:
    """Whoever gave the body finds it as it was."""
    body = {"model": "m", "messages": [{"role": "developer", "content": None}], "stream": True}
    OllamaConversation(CHAT, body, "tiny:1b")

    assert {"model": "m", "messages": [{"role": "developer", "content": None}], "stream": True} == body


@pytest.mark.parametrize("messages", [None, "text", [1], [{"role": "tool", "content": [1]}]])
def test_messages_of_a_wrong_kind_are_left_to_ollama(messages: Any) -> None:
    """What is no message is refused there, in its words."""
    assert type(messages) is type(chat(messages=messages).request["messages"])


@pytest.mark.parametrize("name", ["n", "best_of"])
def test_several_answers_are_refused(name: str) -> None:
    """Ollama would quietly give one."""
    with pytest.raises(RequestRefused) as refused:
        completion(**{name: 2})
    assert name == refused.value.param


def test_a_format_of_an_unknown_type_is_refused() -> None:
    """Ollama would answer as if there were none."""
    with pytest.raises(RequestRefused) as refused:
        chat(response_format={"type": "xml"})
    assert "response_format.type" == refused.value.param
    assert {"type": "text"} == chat(response_format={"type": "text"}).request["response_format"]


@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2], [[1]], None, []])
def test_prompts_that_are_not_one_text_are_refused(prompt: Any) -> None:
    """Ollama takes one text; for anything else it speaks of Go's types."""
    with pytest.raises(RequestRefused) as refused:
        completion(prompt=prompt)
    assert "prompt" == refused.value.param


def test_a_list_of_one_prompt_is_that_prompt() -> None:
    """A list is what several clients always send."""
    assert "Hi" == completion(prompt=["Hi"]).request["prompt"]


def test_usage_of_a_stream_is_always_asked_for() -> None:
    """It is counted, whether the client wants it or not."""
    assert {"include_usage": True} == chat(stream=True).request["stream_options"]


# answers


def test_an_answer_has_our_name_and_an_id_of_its_own() -> None:
    """Ollama's ids are one of 999."""
    answers = [chat().answer({"id": "chatcmpl-7", "model": "tiny:1b", "choices": []}) for _ in range(2)]

    assert ["m", "m"] == [answer["model"] for answer in answers]
    assert (2, True) == (len({answer["id"] for answer in answers}), answers[0]["id"].startswith("chatcmpl-"))


@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        ("length", {}, "length"),
        (None, {}, "stop"),
        ("load", {}, "stop"),
        ("stop", {"tool_calls": [EMPTY_CALL]}, "tool_calls"),
        ("length", {"tool_calls": [EMPTY_CALL]}, "length"),
    ],
)
def test_a_whole_answer_ends_for_a_reason_that_clients_know(reason: str | None, message: Json, expected: str) -> None:
    """OpenAI's reasons only."""
    answer = chat().answer({"choices": [{"message": message, "finish_reason": reason}]})

    assert expected == answer["choices"][0]["finish_reason"]


def test_a_stream_of_an_old_version_gets_its_role_once() -> None:
    """Older versions say the role in every chunk."""
    conversation = chat(stream=True)
    events = [conversation.event(chunk({"role": "assistant", "content": text})) for text in "ab"]

    assert [{"role": "assistant", "content": "a"}, {"content": "b"}] == [
        event["choices"][0]["delta"] for event in events
    ]


def test_a_stream_has_one_id_and_one_time() -> None:
    """Older versions stamp every chunk with its own time."""
    conversation = chat(stream=True)
    events = [conversation.event({**chunk({"content": "a"}), "created": time}) for time in (5, 6)]

    assert ({5}, 1) == ({event["created"] for event in events}, len({event["id"] for event in events}))


def test_a_stream_that_called_a_tool_ends_with_that_reason() -> None:
    """Older versions end it with `stop`."""
    conversation = chat(stream=True)
    conversation.event(chunk({"content": "", "tool_calls": [EMPTY_CALL]}))

    assert "tool_calls" == conversation.event(chunk({}, "stop"))["choices"][0]["finish_reason"]


@pytest.mark.parametrize(("options", "is_passed_on"), [({}, False), ({"include_usage": True}, True)])
def test_usage_reaches_who_asked_for_it(options: Json, *, is_passed_on: bool) -> None:
    """The event with the usage is left out where the client did not ask."""
    conversation = chat(stream=True, stream_options=options)
    event = conversation.event({"id": "1", "created": 1, "choices": [], "usage": {"prompt_tokens": 1}})

    assert is_passed_on == (event is not None)


def test_zeros_are_no_usage() -> None:
    """Streamed completions have a usage of zeros in every chunk."""
    event = completion(stream=True).event({"choices": [{"text": "a"}], "usage": {"prompt_tokens": 0}})

    assert "usage" not in event


def test_thoughts_have_the_name_that_clients_look_for() -> None:
    """Ollama has another one for them, which it also reads."""
    conversation = chat(messages=[{"role": "assistant", "content": "b", "reasoning_content": "hm"}])
    whole = conversation.answer({"choices": [{"message": {"content": "a", "reasoning": "so"}}]})
    streamed = conversation.event(chunk({"reasoning": "so"}))

    assert [{"role": "assistant", "content": "b", "reasoning": "hm"}] == conversation.request["messages"]
    assert {"content": "a", "reasoning_content": "so"} == whole["choices"][0]["message"]
    assert streamed is not None
    assert {"role": "assistant", "reasoning_content": "so"} == streamed["choices"][0]["delta"]


@pytest.mark.parametrize("vector", [[0.5, -0.25], "AAAAPwAAgL4="])
def test_vectors_are_packed_for_who_asks_for_that(vector: Any) -> None:
    """Older versions answer with lists of numbers all the same."""
    conversation = OllamaConversation("/v1/embeddings", {"model": "m", "input": "a", "encoding_format": "base64"}, "e")
    answer = conversation.answer({"model": "e", "data": [{"index": 0, "embedding": vector}]})

    assert "AAAAPwAAgL4=" == answer["data"][0]["embedding"]


def test_embeddings_keep_what_they_are() -> None:
    """Only the model's name is ours."""
    conversation = OllamaConversation("/v1/embeddings", {"model": "m", "input": ["a"], "n": 2}, "e")

    assert {"model": "e", "input": ["a"], "n": 2} == conversation.request
    assert {"model": "m", "data": []} == conversation.answer({"model": "e", "data": []})
