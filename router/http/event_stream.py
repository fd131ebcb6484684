"""Server-sent events as engines send them: whole events only, and how the stream ended."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": keep-alive\n\n"
"""A comment. Never `: ping`: Continue takes a line that begins so for the end of the stream."""


@dataclass(slots=True, frozen=True)
class Usage:
    """The engine's own count of one request."""

    num_prompt_tokens: int
    num_completion_tokens: int
    audio_s: float = 0.0
    """Length of the recording that was written down, in seconds."""


def read_usage(document: object) -> Usage | None:
    """The `usage` of a chunk or of a whole answer, or None where it has none."""
    usage = document.get("usage") if isinstance(document, dict) else None
    if not isinstance(usage, dict):
        return None
    counts = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return Usage(*(count if isinstance(count, int) else 0 for count in counts))


_EVENT = re.compile(rb"(.*?)(?:\n\n|\r\n\r\n)", re.DOTALL)


def _end_of_events(data: bytes) -> int:
    newline, carriage = data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")
    return max(newline + 2 if newline >= 0 else 0, carriage + 4 if carriage >= 0 else 0)


class EventStream:
    """
    Lets whole events through, as the bytes they came in.

    An event that has only half arrived is held back, so that a broken stream ends after an event and the error
    event that follows can be read. Only events that may end the stream or carry the usage are parsed; tokens are not.
    The usage comes only when it is wanted, and then in an event of its own, as OpenAI sends it: llama.cpp adds it to
    the last token of a text completion, asked or not. Continue passes over an event that has it beside a choice, so
    that an engine which counts along would leave it without an answer.
    """

    __slots__ = ("_owed", "_rest", "_wants_usage", "error", "is_done", "is_over", "usage")

    def __init__(self, *, wants_usage: bool) -> None:
        self._rest = b""
        self._wants_usage = wants_usage
        self._owed: dict[str, object] | None = None
        self.usage: Usage | None = None
        self.is_done = False
        """Whether `[DONE]` has come: a stream that ends without it was cut. Nothing after it is let through."""
        self.is_over = False
        """Whether nothing more is let through."""
        self.error: object = None
        """The engine's error document, once it sent one within the stream. Nothing after it is let through."""

    def feed(self, data: bytes) -> bytes:
        """The whole events that `data` completes. May be empty."""
        if self.is_over:
            return b""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if not data.endswith((b"\n\n", b"\r\n\r\n")):
            end = _end_of_events(data)
            data, self._rest = data[:end], data[end:]
        if b'"prompt_tokens"' in data or b"[DONE]" in data or b'{"error"' in data:
            return self._inspect(data)
        return data

    def _inspect(self, data: bytes) -> bytes:
        return b"".join([self._let_through(event[0], event[1]) for event in _EVENT.finditer(data)])

    def _let_through(self, whole: bytes, event: bytes) -> bytes:
        if self.is_over:
            return b""
        if not event.startswith(b"data:"):
            return whole
        payload = event[5:].strip()
        if payload == b"[DONE]":
            self.is_done = self.is_over = True
            return whole if self._owed is None else encode_event(self._owed) + whole
        try:
            document = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return whole
        return self._let_document_through(whole, document)

    def _let_document_through(self, whole: bytes, document: object) -> bytes:
        if not isinstance(document, dict):
            return whole
        self.error = document.get("error")
        if self.error is not None:
            self.is_over = True
            return b""
        usage = read_usage(document)
        if usage is None:
            return whole
        self.usage = usage
        if not document.get("choices"):
            self._owed = None
            return whole if self._wants_usage else b""
        if self._wants_usage:
            self._owed = {**document, "choices": []}
        del document["usage"]
        return encode_event(document)


def encode_event(document: dict[str, object]) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\n\n"


def encode_typed_event(document: dict[str, Any]) -> bytes:
    """An event that is named by the document's `type`, as Anthropic's and those of OpenAI's Responses are."""
    return b"event: %b\n%b" % (document["type"].encode(), encode_event(document))


def read_events(data: bytes) -> Iterator[dict[str, Any] | None]:
    """
    The documents of whole events; None for `[DONE]`. Comments are passed over.

    Raises:
        orjson.JSONDecodeError: one is no JSON.
    """
    for block in data.replace(b"\r\n", b"\n").split(b"\n\n"):
        payload = b"".join(line[5:].strip() for line in block.split(b"\n") if line.startswith(b"data:"))
        if payload == b"[DONE]":
            yield None
        elif payload:
            yield orjson.loads(payload)
