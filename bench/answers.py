"""What a right answer is: every answer of the load is read to its end and checked."""

from dataclasses import dataclass, field
from typing import Protocol

import orjson


class Answer(Protocol):
    """The body of one answer, fed as it arrives."""

    def feed(self, data: bytes) -> int:
        """Take in the next bytes, and return how many tokens they completed."""

    def problem(self) -> str | None:
        """What is wrong with the whole body; None when it is as asked."""


@dataclass(slots=True)
class OneShotAnswer:
    num_tokens: int
    """Tokens that were asked for."""

    _body: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> int:
        self._body += data
        return 0

    def problem(self) -> str | None:
        try:
            answer = orjson.loads(self._body)
            text = answer["choices"][0]["message"]["content"]
            num_tokens = answer["usage"]["completion_tokens"]
        except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
            return f"not a chat completion: {bytes(self._body[:200])!r}"
        if not text:
            return "an empty message"
        if num_tokens != self.num_tokens:
            return f"{num_tokens} tokens instead of {self.num_tokens}"
        return None


@dataclass(slots=True)
class StreamAnswer:
    """Server-sent events: as many chunks with text as tokens were asked for, the usage chunk, then `[DONE]`."""

    num_tokens: int
    """Tokens that were asked for."""

    _line: bytes = b""
    _num_chunks: int = 0
    _usage_tokens: int | None = None
    _is_done: bool = False
    _broken: str | None = None

    def feed(self, data: bytes) -> int:
        *lines, self._line = (self._line + data).split(b"\n")
        before = self._num_chunks
        for line in lines:
            if line.startswith(b"data:"):
                self._take(line[5:].strip())
        return self._num_chunks - before

    def _take(self, event: bytes) -> None:
        if self._is_done:
            self._broken = "an event after [DONE]"
        elif event == b"[DONE]":
            self._is_done = True
        else:
            try:
                chunk = orjson.loads(event)
                if "error" in chunk:
                    self._broken = f"an error event: {event[:200]!r}"
                    return
                self._num_chunks += sum(bool(choice["delta"].get("content")) for choice in chunk["choices"])
                if usage := chunk.get("usage"):
                    self._usage_tokens = usage["completion_tokens"]
            except (orjson.JSONDecodeError, KeyError, TypeError):
                self._broken = f"not a chunk: {event[:200]!r}"

    def problem(self) -> str | None:
        if self._broken:
            return self._broken
        if not self._is_done:
            return f"no [DONE] after {self._num_chunks} chunks"
        if self._num_chunks != self.num_tokens:
            return f"{self._num_chunks} chunks instead of {self.num_tokens}"
        if self._usage_tokens != self.num_tokens:
            return f"usage says {self._usage_tokens} tokens instead of {self.num_tokens}"
        return None
