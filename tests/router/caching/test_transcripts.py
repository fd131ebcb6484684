"""A whole answer out of a stream, and a stream out of a whole answer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.caching.transcripts import NotAnAnswer, is_keepable, stream_from_whole, whole_from_stream
from router.http.event_stream import DONE, encode_event

Json = dict[str, Any]

HEAD: Json = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "m", "system_fingerprint": "fp"}
USAGE: Json = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def stream(*parts: Json, usage: Json | None = None, kind: str = "chat.completion.chunk") -> bytes:
    events = [encode_event({**HEAD, "object": kind, "choices": [part]}) for part in parts]
    if usage is not None:
        events.append(encode_event({**HEAD, "object": kind, "choices": [], "usage": usage}))
    return b"".join([*events, DONE])


def delta(index: int = 0, finish: str | None = None, **fields: object) -> Json:
    return {"index": index, "delta": fields, "finish_reason": finish}


def test_text_is_put_together() -> None:
    """As the engine would have answered without `stream`, usage included."""
    events = stream(
        delta(role="assistant", content=""),
        delta(content="Hel"),
        delta(content="lo"),
        delta(finish="stop"),
        usage=USAGE,
    )
    message = {"role": "assistant", "content": "Hello"}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    assert {**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE} == whole_from_stream(
        events, is_chat=True
    )


def test_tool_calls_are_put_together() -> None:
    """By their index, their arguments piece by piece; there is no content beside them."""
    events = stream(
        delta(role="assistant", content=""),
        delta(tool_calls=[{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"x":'}}]),
        delta(tool_calls=[{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": "1}"}}]),
        delta(finish="tool_calls"),
    )
    [choice] = whole_from_stream(events, is_chat=True)["choices"]
    assert {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    } == choice["message"]


def test_choices_reasoning_and_log_probabilities_are_kept_apart() -> None:
    """Each choice grows by itself, whatever the order in which they come."""
    events = stream(
        delta(1, reasoning_content="so"),
        {**delta(0, content="a"), "logprobs": {"content": [{"token": "a", "logprob": -1}]}},
        {**delta(0, content="b"), "logprobs": {"content": [{"token": "b", "logprob": -2}]}},
        delta(1, content="c"),
        delta(0, "stop"),
        delta(1, "length"),
    )
    first, second = whole_from_stream(events, is_chat=True)["choices"]
    assert ("ab", [-1, -2]) == (first["message"]["content"], [one["logprob"] for one in first["logprobs"]["content"]])
    assert ("so", "c", "length") == (
        second["message"]["reasoning_content"],
        second["message"]["content"],
        second["finish_reason"],
    )


def test_lists_that_an_engine_adds_are_put_together() -> None:
    """vLLM sends the numbers of the tokens, a few with each event, where a request asks for them."""
    events = stream(
        {**delta(content="a"), "token_ids": [1, 2]}, {**delta(content="b"), "token_ids": [3]}, delta(finish="stop")
    )
    [choice] = whole_from_stream(events, is_chat=True)["choices"]
    assert [1, 2, 3] == choice["token_ids"]


def test_a_text_completion_is_put_together() -> None:
    """Its log probabilities are parallel lists."""
    events = stream(
        {"index": 0, "text": "a", "logprobs": {"tokens": ["a"], "text_offset": [0]}, "finish_reason": None},
        {"index": 0, "text": "b", "logprobs": {"tokens": ["b"], "text_offset": [1]}, "finish_reason": "stop"},
        kind="text_completion",
    )
    [choice] = whole_from_stream(events, is_chat=False)["choices"]
    assert {
        "index": 0,
        "text": "ab",
        "logprobs": {"tokens": ["a", "b"], "text_offset": [0, 1]},
        "finish_reason": "stop",
    } == choice


@pytest.mark.parametrize(
    "events",
    [
        DONE,
        b"data: {]\n\n",
        b"data: []\n\n",
        stream({"index": 0, "delta": []}),
        stream(delta(tool_calls=[1])),
        stream(delta(content=[1])),
    ],
    ids=["nothing", "no JSON", "no object", "no delta", "no tool call", "no text"],
)
def test_what_cannot_be_put_together_is_said(events: bytes) -> None:
    """Whoever asks keeps nothing then."""
    with pytest.raises(NotAnAnswer):
        whole_from_stream(events, is_chat=True)


@pytest.mark.parametrize(
    ("finishes", "keep_truncated", "expected"),
    [
        (["stop"], False, True),
        (["stop", "tool_calls"], False, True),
        (["length"], False, False),
        (["stop", "length"], False, False),
        (["length"], True, True),
        (["content_filter"], True, False),
        ([None], True, False),
        ([], True, False),
    ],
)
def test_only_answers_that_came_to_their_end_are_kept(
    finishes: list[str | None], *, keep_truncated: bool, expected: bool
) -> None:
    """One choice that was cut spoils the others."""
    document = {"choices": [{"finish_reason": finish} for finish in finishes]}
    assert expected == is_keepable(document, keep_truncated=keep_truncated)


# there and back

texts = st.text(max_size=20)
calls = st.fixed_dictionaries(
    {
        "id": st.text(min_size=1, max_size=8),
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": st.text(min_size=1, max_size=8), "arguments": texts}),
    }
)
messages = st.one_of(
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": texts},
        optional={"reasoning_content": st.text(min_size=1, max_size=20)},
    ),
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": st.none(), "tool_calls": st.lists(calls, min_size=1, max_size=3)}
    ),
)
logprobs = st.none() | st.fixed_dictionaries(
    {
        "content": st.lists(
            st.fixed_dictionaries({"token": texts, "logprob": st.integers(-9, 0)}), min_size=1, max_size=3
        )
    }
)
finishes = st.sampled_from(["stop", "tool_calls", "length"])
chats = st.lists(st.tuples(messages, logprobs, finishes), min_size=1, max_size=3)
completions = st.lists(st.tuples(texts, finishes), min_size=1, max_size=3)


@given(parts=chats, has_usage=st.booleans())
def test_a_chat_comes_back_from_its_stream(parts: list[tuple[Json, Json | None, str]], *, has_usage: bool) -> None:
    """Whatever its messages: text, reasoning, tool calls, log probabilities."""
    document = {
        **HEAD,
        "object": "chat.completion",
        "choices": [
            {"index": index, "message": message, "logprobs": probabilities, "finish_reason": finish}
            for index, (message, probabilities, finish) in enumerate(parts)
        ],
    } | ({"usage": USAGE} if has_usage else {})
    assert document == whole_from_stream(stream_from_whole(document, wants_usage=True), is_chat=True)


@given(completions)
def test_a_text_completion_comes_back_from_its_stream(parts: list[tuple[str, str]]) -> None:
    """The same for the older route."""
    document = {
        **HEAD,
        "object": "text_completion",
        "choices": [
            {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
            for index, (text, finish) in enumerate(parts)
        ],
        "usage": USAGE,
    }
    assert document == whole_from_stream(stream_from_whole(document, wants_usage=True), is_chat=False)


def test_usage_comes_only_when_it_is_wanted() -> None:
    """As from an engine."""
    document = {
        **HEAD,
        "object": "text_completion",
        "choices": [{"index": 0, "text": "a", "logprobs": None, "finish_reason": "stop"}],
        "usage": USAGE,
    }
    assert [False, True] == [
        b"prompt_tokens" in stream_from_whole(document, wants_usage=wish) for wish in (False, True)
    ]


def test_events_that_are_not_written_as_usual_are_read_too() -> None:
    """With comments between them, with other ends of lines, with a data line in two."""
    usual = stream(delta(role="assistant"), delta(content="a"), delta(content="b"), delta(finish="stop"))
    odd = b": keep-alive\n\n" + usual.replace(b"\n\n", b"\r\n\r\n").replace(b"data: {", b"event: x\r\ndata: {", 1)
    assert whole_from_stream(usual, is_chat=True) == whole_from_stream(odd, is_chat=True)
