"""Every event and every whole answer of translated APIs, held against the types of the SDKs that read them."""

from typing import Any

import orjson
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.beta import BetaMessage, BetaRawMessageStreamEvent
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from router.caching.transcripts import whole_from_stream
from router.http.event_stream import DONE, encode_event
from router.wire_apis.anthropic import requests as anthropic_requests
from router.wire_apis.anthropic.answers import MessageWriter
from router.wire_apis.pieces import Json
from router.wire_apis.responses.answers import ResponseWriter
from router.wire_apis.responses.requests import Asked
from router.wire_apis.responses.tools import ToolName
from router.wire_apis.translation import Writer

USAGE: Json = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
COUNTED: Json = {**USAGE, "completion_tokens_details": {"reasoning_tokens": 3}}


def chunk(delta: Json, finish: str | None = None) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "created": 1, "model": "served", "choices": [choice]}


def call(index: int, arguments: str, name: str = "") -> Json:
    head = {"id": f"c{index}", "type": "function"} if name else {}
    function = {"arguments": arguments, **({"name": name} if name else {})}
    return chunk({"tool_calls": [{"index": index, **head, "function": function}]})


ANSWERS: dict[str, list[Json]] = {
    "words": [chunk({"role": "assistant", "content": ""}), chunk({"content": "Hel"}), chunk({"content": "lo"}, "stop")],
    "thoughts, words and calls": [
        chunk({"reasoning_content": "hm"}), chunk({"content": "I look."}), call(0, "", "f"), call(0, '{"x":'),
        call(0, "1}"), call(1, "", "g"), chunk({}, "tool_calls"),
    ],
    "thoughts between calls": [
        chunk({"reasoning_content": "hm"}), call(0, "{}", "f"), chunk({"reasoning_content": "so"}), call(1, "{}", "g"),
        chunk({}, "tool_calls"),
    ],
    "calls of every kind": [call(0, "{}", "f"), call(1, '{"input":', "h"), call(1, '"x"}'), chunk({}, "tool_calls")],
    "a refusal": [chunk({"refusal": "I ca"}), chunk({"refusal": "nnot."}), chunk({}, "stop")],
    "words that a limit cut": [chunk({"content": "Hel"}), chunk({}, "length")],
    "thoughts that a limit cut": [chunk({"reasoning_content": "hm"}), chunk({}, "length")],
    "what a filter cut": [chunk({"content": "Hel"}), chunk({}, "content_filter")],
    "nothing": [chunk({}, "stop")],
}  # fmt: skip


MESSAGE_EVENTS = [TypeAdapter[Any](RawMessageStreamEvent), TypeAdapter[Any](BetaRawMessageStreamEvent)]
RESPONSE_EVENTS = TypeAdapter[Any](ResponseStreamEvent)


def messages() -> MessageWriter:
    return MessageWriter(anthropic_requests.Asked("asked", frozenset(), shows_thinking=True), "req-1")


def responses() -> ResponseWriter:
    """To a client that calls one of its functions otherwise, and another one no function."""
    tools = {"f": ToolName("f", "group"), "h": ToolName("h", is_custom=True)}
    return ResponseWriter(Asked("asked", {}, tools), "req-1")


def streamed(writer: Writer, chunks: list[Json]) -> list[Json]:
    data = b"".join([*map(writer.feed, [*chunks, {"id": "chatcmpl-1", "choices": [], "usage": COUNTED}]), writer.end()])
    return [orjson.loads(block.partition(b"data: ")[2]) for block in data.split(b"\n\n") if block]


def asked_whole(writer: Writer, chunks: list[Json]) -> Json:
    data = b"".join([*map(encode_event, [*chunks, {"id": "chatcmpl-1", "choices": [], "usage": COUNTED}]), DONE])
    document: Json = orjson.loads(writer.whole(whole_from_stream(data, is_chat=True)))
    return document


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("events", MESSAGE_EVENTS, ids=["plain", "beta"])
def test_the_events_of_a_message(events: TypeAdapter[Any], name: str) -> None:
    """Have all that Anthropic's SDK takes for granted."""
    found = streamed(messages(), ANSWERS[name])
    assert [event["type"] for event in found] == [events.validate_python(event).type for event in found]


@pytest.mark.parametrize("name", ANSWERS)
def test_a_whole_message(name: str) -> None:
    """So has this, in either of its namespaces."""
    document = asked_whole(messages(), ANSWERS[name])
    assert "message" == Message.model_validate(document).type == BetaMessage.model_validate(document).type


@pytest.mark.parametrize("name", ANSWERS)
def test_the_events_of_a_response(name: str) -> None:
    """Have all that OpenAI's SDK takes for granted, numbered without a gap."""
    found = streamed(responses(), ANSWERS[name])
    assert [(number, event["type"]) for number, event in enumerate(found)] == [
        (one.sequence_number, one.type) for one in map(RESPONSE_EVENTS.validate_python, found)
    ]


@pytest.mark.parametrize("name", sorted({*ANSWERS} - {"thoughts between calls"}))
def test_a_whole_response(name: str) -> None:
    """So has this, and it is what the last event has, unless only a stream can tell what came between."""
    document = asked_whole(responses(), ANSWERS[name])
    assert "response" == Response.model_validate(document).object
    last = streamed(responses(), ANSWERS[name])[-1]["response"]
    kept = ("id", "status", "incomplete_details", "output", "usage", "model")
    assert {field: last[field] for field in kept} == {field: document[field] for field in kept}


def test_thoughts_are_signed() -> None:
    """Just before their block ends: clients that look for a signature give back no thought without one."""
    found = streamed(messages(), ANSWERS["thoughts, words and calls"])
    end = next(at for at, event in enumerate(found) if event["type"] == "content_block_stop")
    assert {"type": "signature_delta", "signature": "ZW5naW5laG91c2U="} == found[end - 1]["delta"]


def test_a_refusal() -> None:
    """Is told as what it is, in each API's words."""
    said = asked_whole(responses(), ANSWERS["a refusal"])["output"]
    assert [{"type": "refusal", "refusal": "I cannot."}] == said[0]["content"]
    message = asked_whole(messages(), ANSWERS["a refusal"])
    assert ("refusal", "I cannot.") == (message["stop_reason"], message["content"][0]["text"])
    assert "refusal" == streamed(messages(), ANSWERS["a refusal"])[-2]["delta"]["stop_reason"]
    assert "response.refusal.done" in [event["type"] for event in streamed(responses(), ANSWERS["a refusal"])]


def test_thoughts_are_counted() -> None:
    """Where the engine counts them."""
    usage = asked_whole(responses(), ANSWERS["words"])["usage"]
    assert {"reasoning_tokens": 3} == usage["output_tokens_details"]
