"""`deployments/engines/front/plain.py`: what a server of others leaves out of OpenAI's API, and clients need."""

import base64
import struct
from typing import Any

import pytest

from deployments.engines.front.plain import PlainConversation

Json = dict[str, Any]


def asked(**fields: Any) -> PlainConversation:
    return PlainConversation({"model": "m", **fields}, "theirs")


def chunk(delta: Json, reason: str | None = None, index: int = 0) -> Json:
    return {"id": "1", "model": "theirs", "choices": [{"index": index, "delta": delta, "finish_reason": reason}]}


def told(conversation: PlainConversation, *events: Json) -> list[Json]:
    """All events that the client gets, to the end mark."""
    passed = [*(conversation.event(event) for event in events), conversation.ending()]
    return [event for event in passed if event is not None]


CALLS: list[Json] = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]


@pytest.mark.parametrize(
    ("deltas", "reason"), [([{"content": "a"}], "stop"), ([{"tool_calls": CALLS}, {"content": ""}], "tool_calls")]
)
def test_a_stream_says_why_it_ended(deltas: list[Json], reason: str) -> None:
    """A server that does not say gets it said, before the usage, which comes last."""
    usage = {"id": "1", "model": "theirs", "choices": [], "usage": {"prompt_tokens": 1}}
    last = {"id": "1", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}

    assert [last, {**usage, "model": "m"}] == told(asked(), *map(chunk, deltas), dict(usage))[len(deltas) :]
    assert [last] == told(asked(), *map(chunk, deltas))[len(deltas) :]


def test_each_choice_says_why_it_ended() -> None:
    """Those that said so themselves are left as they are, in chats and in text completions."""
    begun = [chunk({"content": "a"}), chunk({"content": "b"}, index=1), chunk({}, "length")]
    text = {"id": "1", "choices": [{"index": 0, "text": "a", "finish_reason": None}]}

    assert [{"index": 1, "delta": {}, "finish_reason": "stop"}] == told(asked(), *begun)[-1]["choices"]
    assert [{"index": 0, "text": "", "finish_reason": "stop"}] == told(asked(), text)[-1]["choices"]


def test_nothing_is_added_to_a_stream_that_is_whole() -> None:
    """Chunks, reason and usage pass one by one."""
    events = [chunk({"content": "a"}), chunk({}, "stop"), {"id": "1", "choices": [], "usage": {"prompt_tokens": 1}}]

    assert len(events) == len(told(asked(), *events))


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"message": {"content": "a"}}, "stop"),
        ({"message": {"tool_calls": CALLS}}, "tool_calls"),
        ({"text": "a"}, "stop"),
        ({"text": "a", "finish_reason": "length"}, "length"),
    ],
)
def test_a_whole_answer_says_why_it_ended(choice: Json, reason: str) -> None:
    """In the same way."""
    assert reason == asked().answer({"choices": [choice]})["choices"][0]["finish_reason"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"reasoning": "hm"}, {"reasoning_content": "hm"}),
        ({"reasoning": "hm", "reasoning_content": "so"}, {"reasoning_content": "so"}),
        ({"reasoning": None, "content": "a"}, {"content": "a"}),
    ],
)
def test_thoughts_have_the_name_that_clients_look_for(said: Json, expected: Json) -> None:
    """Whichever the server has for them, streamed or whole."""
    streamed = asked().event(chunk(dict(said)))

    assert streamed is not None
    assert expected == streamed["choices"][0]["delta"]
    assert expected == asked().answer({"choices": [{"message": dict(said)}]})["choices"][0]["message"]


@pytest.mark.parametrize(("wanted", "is_packed"), [("base64", True), ("float", False), (None, False)])
def test_vectors_are_packed_for_who_asks_for_that(wanted: str | None, *, is_packed: bool) -> None:
    """Where the server passes over the wish, OpenAI's library for JavaScript would read anything out of the numbers."""
    answer = asked(encoding_format=wanted).answer({"data": [{"index": 0, "embedding": [0.5, -0.25]}]})
    packed = base64.b64encode(struct.pack("<2f", 0.5, -0.25)).decode()

    assert (packed if is_packed else [0.5, -0.25]) == answer["data"][0]["embedding"]
