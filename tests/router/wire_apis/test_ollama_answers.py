"""router.wire_apis.ollama.answers: completions as Ollama's parts, one by one and whole."""

from typing import Any

import orjson
import pytest

from router.wire_apis.ollama.answers import EmbeddingWriter, GenerationWriter
from router.wire_apis.ollama.requests import CHAT, EMBEDDINGS, Kind, Question

USAGE = {"prompt_tokens": 3, "completion_tokens": 2}


def writer_of(kind: Kind = "chat") -> GenerationWriter:
    return GenerationWriter(Question(kind, "m:latest", CHAT, {}))


def chunk(delta: dict[str, object], finish: str | None = None) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def call(index: int, arguments: str, name: str = "") -> dict[str, object]:
    return {"tool_calls": [{"index": index, "id": "", "function": {"name": name, "arguments": arguments}}]}


def lines(writer: GenerationWriter, *chunks: dict[str, Any]) -> list[dict[str, Any]]:
    written = b"".join([*map(writer.feed, chunks), writer.end()])
    return [orjson.loads(line) for line in written.splitlines()]


def test_two_calls_whose_parts_are_mixed() -> None:
    """Come one after the other, each whole, with arguments that are objects."""
    parts = lines(
        writer_of(),
        chunk(call(0, '{"a":', "f")),
        chunk(call(1, '{"b":', "g")),
        chunk(call(0, "1}")),
        chunk(call(1, "2}"), "tool_calls"),
    )
    calls = [one["function"] for part in parts for one in part["message"].get("tool_calls", ())]
    assert [("f", {"a": 1}), ("g", {"b": 2})] == [(one["name"], one["arguments"]) for one in calls]
    assert (True, "stop") == (parts[-1]["done"], parts[-1]["done_reason"])


def test_arguments_that_are_no_json() -> None:
    """Are handed on under a name that no tool has, so that the model sees what it wrote."""
    [part, _] = lines(writer_of(), chunk(call(0, '{"a', "f"), "tool_calls"))
    assert {"INVALID_JSON": '{"a'} == part["message"]["tool_calls"][0]["function"]["arguments"]


@pytest.mark.parametrize("kind", ["chat", "generate"])
def test_a_stream_and_a_whole_answer_say_the_same(kind: Kind) -> None:
    """Text, thoughts, calls and counts, whichever way they came."""
    message = {"reasoning_content": "hm", "content": "Hello", **call(0, '{"a":1}', "f")}
    ending = {"choices": [], "usage": USAGE}
    streamed = lines(
        writer_of(kind), chunk({"reasoning_content": "h"}), chunk({"reasoning_content": "m"}),
        chunk({"content": "Hel"}), chunk({"content": "lo"}), chunk(call(0, '{"a":1}', "f"), "length"), ending,
    )  # fmt: skip
    document = {"choices": [{"index": 0, "message": message, "finish_reason": "length"}], "usage": USAGE}
    whole = orjson.loads(writer_of(kind).whole(document))

    def said(part: dict[str, Any], name: str) -> str:
        own = part if kind == "generate" else part["message"]
        return str(own.get("response" if kind == "generate" and name == "content" else name, ""))

    for name in ("content", "thinking"):
        assert "".join(said(part, name) for part in streamed) == said(whole, name) != ""
    for part in (streamed[-1], whole):
        assert ("m:latest", True, "length", 3, 2) == tuple(
            part[name] for name in ("model", "done", "done_reason", "prompt_eval_count", "eval_count")
        )
        assert part["total_duration"] >= part["prompt_eval_duration"] + part["eval_duration"] - 1


def test_the_time_of_the_prompt() -> None:
    """Is llama.cpp's own where it tells, as far as the clock here agrees."""
    document = {"choices": [{"message": {"content": "a"}}], "timings": {"prompt_ms": 1e9}}
    whole = orjson.loads(writer_of().whole(document))
    assert (whole["total_duration"], 0) == (whole["prompt_eval_duration"], whole["eval_duration"])


def test_a_sign_of_life() -> None:
    """Is a part that says nothing: nothing else would be passed over."""
    sign = writer_of("generate").form().sign_of_life
    part = orjson.loads(sign)
    assert sign.endswith(b"\n")
    assert ("", False) == (part["response"], part["done"])


def test_no_completion() -> None:
    """Is not answered as if it were one."""
    with pytest.raises(ValueError, match="without a choice"):
        writer_of().whole({"choices": []})
    with pytest.raises(KeyError):
        EmbeddingWriter(Question("embed", "m", EMBEDDINGS, {})).whole({"object": "list"})
