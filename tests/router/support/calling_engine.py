"""An engine that calls a tool before it answers, as a model with tools would."""

import json
from collections.abc import Mapping
from typing import Any

from scripted_engine import Script, ScriptedEngine
from wire import DONE, USAGE_EVENT, event, stream

SECRET = "plum"
ANSWER = f"It is {SECRET}."


def part(delta: dict[str, object], finish: str | None = None) -> bytes:
    """One event of a streamed chat completion."""
    return event({"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def call_of(tool: str, arguments: Mapping[str, object]) -> bytes:
    """An answer that thinks, speaks, and calls a tool, its arguments cut in the middle."""
    text = json.dumps(arguments)
    begun = {"index": 0, "id": "call_1", "type": "function", "function": {"name": tool, "arguments": text[:9]}}
    rest = {"index": 0, "function": {"arguments": text[9:]}}
    return stream(
        part({"role": "assistant", "content": ""}), part({"reasoning_content": "I should read it."}),
        part({"content": "I read it."}), part({"tool_calls": [begun]}), part({"tool_calls": [rest]}),
        part({}, "tool_calls"), USAGE_EVENT, DONE,
    )  # fmt: skip


def says(text: str) -> bytes:
    return stream(part({"role": "assistant", "content": text}), part({}, "stop"), USAGE_EVENT, DONE)


class CallingEngine(ScriptedEngine):
    """
    Answers once a tool's result has the secret.

    `call` is its first answer; `first` are others, which it gives even before that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.call = b""
        self.first: list[bytes] = []

    @property
    def last_messages(self) -> Any:
        """Of its last request."""
        return self.requests[-1].document["messages"]

    def next_script(self, path: str) -> Script:  # noqa: ARG002 - the engine's signature
        if self.first:
            return [self.first.pop(0)]
        results = [message["content"] for message in self.last_messages if message["role"] == "tool"]
        if not results:
            return [self.call]
        return [says(ANSWER if SECRET in results[-1] else "I do not know.")]
