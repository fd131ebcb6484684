"""router.wire_apis.anthropic.answers: a chat completion as an Anthropic message, whole and streamed."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.http.event_stream import KEEP_ALIVE
from router.wire_apis.anthropic.answers import MessageWriter
from router.wire_apis.anthropic.requests import Asked
from router.wire_apis.pieces import Json

ASKED = Asked("asked", frozenset({"END"}), shows_thinking=True)
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}}


def whole(message: Json, finish: str | None = "stop", asked: Asked = ASKED, **fields: object) -> Json:
    choice = {"index": 0, "message": message, "finish_reason": finish, **fields}
    completion = {"id": "chatcmpl-1", "model": "served", "choices": [choice], "usage": USAGE}
    answer: Json = orjson.loads(MessageWriter(asked, "req-1").whole(completion))
    return answer


def chunk(delta: Json, finish: str | None = None) -> Json:
    return {"id": "chatcmpl-1", "model": "served", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def stream(*chunks: Json, asked: Asked = ASKED) -> bytes:
    writer = MessageWriter(asked, "req-1")
    return b"".join([*map(writer.feed, chunks), writer.end()])


def events(data: bytes) -> list[Json]:
    """What a client reads; each event's name is its type."""
    found = []
    for block in data.split(b"\n\n"):
        if block and not block.startswith(b":"):
            name, _, document = block.partition(b"\n")
            event: Json = orjson.loads(document.removeprefix(b"data: "))
            assert name == b"event: " + event["type"].encode()
            found.append(event)
    return found


def gathered(found: list[Json]) -> Json:
    """The message that the events add up to. Fails where they are in no order that a client could follow."""
    assert ["message_start", "message_delta", "message_stop"] == [found[0]["type"], *(e["type"] for e in found[-2:])]
    message, is_open, texts = found[0]["message"], False, []
    for event in found[1:-2]:
        if event["type"] == "content_block_start":
            assert not is_open
            assert len(message["content"]) == event["index"]
            message["content"].append(event["content_block"])
            texts.append("")
        assert len(message["content"]) - 1 == event["index"]
        if event["type"] == "content_block_delta" and "signature" in event["delta"]:
            assert is_open
            message["content"][-1]["signature"] = event["delta"]["signature"]
        elif event["type"] == "content_block_delta":
            assert is_open
            kind = {"text": "text", "thinking": "thinking", "tool_use": "partial_json"}[message["content"][-1]["type"]]
            texts[-1] += event["delta"][kind]
        is_open = event["type"] != "content_block_stop"
    assert not is_open
    for block, text in zip(message["content"], texts, strict=True):
        if block["type"] == "tool_use":
            block["input"] = orjson.loads(text or "{}")
        else:
            block[block["type"]] = text
    return {**message, **found[-2]["delta"], "usage": found[-2]["usage"]}


def tool_call(index: int, arguments: str, name: str = "") -> Json:
    head = {"id": f"c{index}", "type": "function"} if name else {}
    return {
        "tool_calls": [
            {"index": index, **head, "function": {"arguments": arguments, **({"name": name} if name else {})}}
        ]
    }


# whole


def test_a_whole_message() -> None:
    """With what it was answered by, and what it took: of the prompt, what was cached is counted apart."""
    assert {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "served",
        "content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn", "stop_sequence": None,
        "usage": {
            "input_tokens": 4, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 5, "output_tokens": 4,
        },
    } == whole({"content": "hello"})  # fmt: skip


@pytest.mark.parametrize(
    ("finish", "fields", "expected"),
    [
        ("stop", {}, ("end_turn", None)),
        ("stop", {"stop_reason": "END"}, ("stop_sequence", "END")),
        ("stop", {"stop_reason": 151645}, ("end_turn", None)),
        ("length", {}, ("max_tokens", None)),
        ("content_filter", {}, ("refusal", None)),
        (None, {}, ("end_turn", None)),
    ],
)
def test_why_it_ended(finish: str | None, fields: Json, expected: tuple[str, str | None]) -> None:
    """In Anthropic's words; a stop sequence where the engine says which."""
    answer = whole({"content": "a"}, finish, **fields)
    assert expected == (answer["stop_reason"], answer["stop_sequence"])


@pytest.mark.parametrize("finish", ["tool_calls", "stop"])
def test_tool_use(finish: str) -> None:
    """With its input parsed, also where the engine calls a demanded call a stop."""
    calls = [{"id": "c0", "type": "function", "function": {"name": "f", "arguments": '{"x": [1]}'}}]
    answer = whole({"content": None, "tool_calls": calls}, finish)
    assert [{"type": "tool_use", "id": "c0", "name": "f", "input": {"x": [1]}}] == answer["content"]
    assert "tool_use" == answer["stop_reason"]


def test_a_call_without_an_id() -> None:
    """Gets one: clients answer calls by their id."""
    calls = [{"function": {"name": "f", "arguments": ""}}]
    assert [{"type": "tool_use", "id": "toolu_1_0", "name": "f", "input": {}}] == whole({"tool_calls": calls})[
        "content"
    ]


@pytest.mark.parametrize("arguments", ['{"x": ', "[1]", "x"])
def test_arguments_that_are_no_object(arguments: str) -> None:
    """Are handed on under a name that no tool has, so that it is refused and the model sees what it wrote."""
    calls = [{"id": "c0", "function": {"name": "f", "arguments": arguments}}]
    assert {"INVALID_JSON": arguments} == whole({"tool_calls": calls})["content"][0]["input"]


def test_thinking() -> None:
    """Comes first, where it was asked for, and not at all where it was not."""
    said = {"content": "yes", "reasoning_content": "hm"}
    assert ["thinking", "text"] == [block["type"] for block in whole(said)["content"]]
    unasked = Asked("asked", frozenset(), shows_thinking=False)
    assert ["text"] == [block["type"] for block in whole(said, asked=unasked)["content"]]


# streamed


def test_a_stream() -> None:
    """Event for event."""
    found = events(
        stream(
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": "Hel"}),
            chunk({"content": "lo"}),
            chunk({}, "stop"),
            {"choices": [], "usage": USAGE},
        )
    )
    assert [
        "message_start", "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ] == [event["type"] for event in found]  # fmt: skip
    assert whole({"content": "Hello"}) == gathered(found)


def test_a_stream_of_everything() -> None:
    """Thinking, words, and two calls, each in a block of its own."""
    found = events(
        stream(
            chunk({"reasoning_content": "hm"}), chunk({"content": "I look."}),
            chunk(tool_call(0, "", "f")), chunk(tool_call(0, '{"x":')), chunk(tool_call(0, "1}")),
            chunk(tool_call(1, "{}", "g")), chunk({}, "tool_calls"), {"choices": [], "usage": USAGE},
        )
    )  # fmt: skip
    assert [
        {"type": "thinking", "thinking": "hm", "signature": "ZW5naW5laG91c2U="},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "c0", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "c1", "name": "g", "input": {}},
    ] == gathered(found)["content"]
    assert "tool_use" == found[-2]["delta"]["stop_reason"]


def test_an_empty_stream() -> None:
    """Is still a message."""
    message = gathered(events(stream()))
    assert ("msg_req-1", "asked", []) == (message["id"], message["model"], message["content"])


def test_thinking_that_nobody_asked_for() -> None:
    """Is not shown, but the client hears now and then that somebody is at work."""
    unasked = Asked("asked", frozenset(), shows_thinking=False)
    data = stream(*[chunk({"reasoning_content": "hm"})] * 200, chunk({"content": "yes"}), asked=unasked)
    assert 3 == data.count(KEEP_ALIVE)
    assert [{"type": "text", "text": "yes"}] == gathered(events(data))["content"]


WORDS = st.text(max_size=3)
DELTAS = st.one_of(
    st.fixed_dictionaries({"content": st.none() | WORDS}),
    st.fixed_dictionaries({"reasoning_content": WORDS}),
    st.fixed_dictionaries({"content": WORDS, "reasoning": WORDS}),
    st.builds(lambda index, name: tool_call(index, "", name), st.integers(0, 2), st.sampled_from(["f", "g", ""])),
    st.builds(lambda index: tool_call(index, '{"x":'), st.integers(0, 2)),
    st.builds(lambda index: tool_call(index, "1}"), st.integers(0, 2)),
)


def loose(message: Json) -> Any:
    """Everything but the input of calls, which a random engine does not make JSON."""
    return [{**block, "input": None} if block["type"] == "tool_use" else block for block in message["content"]]


@given(st.lists(DELTAS, max_size=12), st.sampled_from([None, "stop", "length", "tool_calls"]), st.booleans())
def test_any_chunks_are_a_message(deltas: list[Json], finish: str | None, shows_thinking: bool) -> None:  # noqa: FBT001 - hypothesis gives it by place
    """Whatever an engine streams, its events are in order, and add up."""
    asked = Asked("asked", frozenset(), shows_thinking)
    found = events(stream(*map(chunk, deltas), chunk({}, finish), asked=asked))
    for event in found:
        if event["type"] == "content_block_delta" and event["delta"]["type"] == "input_json_delta":
            event["delta"]["partial_json"] = ""
    said = "".join(delta.get("content") or "" for delta in deltas)
    content = loose(gathered(found))
    assert said == "".join(block["text"] for block in content if block["type"] == "text")
    assert {call["index"] for delta in deltas for call in delta.get("tool_calls", [])} == {
        number for number in range(3) for block in content if block["type"] == "tool_use" and _is_of(block, number)
    }


def _is_of(block: Json, number: int) -> bool:
    return block["id"] in (f"c{number}", f"toolu_1_{number}")


@given(st.lists(WORDS, max_size=6), st.integers(1, 40))
def test_a_stream_says_what_the_whole_says(words: list[str], size: int) -> None:
    """However the engine cuts the arguments of a call."""
    arguments = orjson.dumps({"words": words}).decode()
    parts = [arguments[start : start + size] for start in range(0, len(arguments), size)]
    streamed = stream(
        chunk({"content": "I look."}), chunk(tool_call(0, "", "f")), *(chunk(tool_call(0, part)) for part in parts),
        chunk({}, "tool_calls"), {"choices": [], "usage": USAGE},
    )  # fmt: skip
    calls = [{"id": "c0", "type": "function", "function": {"name": "f", "arguments": arguments}}]
    assert whole({"content": "I look.", "tool_calls": calls}, "tool_calls") == gathered(events(streamed))
