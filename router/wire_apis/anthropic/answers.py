"""A chat completion as an Anthropic message: whole, or as the events of a stream. Pure."""

from collections.abc import Iterator
from typing import Any

import orjson

from router.http.event_stream import KEEP_ALIVE, encode_typed_event
from router.wire_apis.anthropic.requests import Asked
from router.wire_apis.pieces import (
    Counts,
    Finish,
    InOrder,
    Json,
    Piece,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    pieces_of,
    pieces_of_whole,
)

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_SIGNATURE = "ZW5naW5laG91c2U="
"""Of what is thought. Nobody here checks one, but Vercel's AI SDK gives back no thought without one."""
_HIDDEN_PER_KEEP_ALIVE = 64
"""Pieces of reasoning that the client did not ask for, after which it gets a sign of life: about one in two seconds."""


class MessageWriter:
    """Writes one message. `request_id` is for engines that give their answers no id."""

    def __init__(self, asked: Asked, request_id: str) -> None:
        self._asked = asked
        self._request_id = request_id
        self._stream = _Stream(asked)
        self._has_begun = False

    def whole(self, completion: Json) -> bytes:
        ending = _Ending(self._asked)
        blocks = _Blocks(self._identity(completion)["id"])
        for piece in pieces_of_whole(completion):
            ending.note(piece)
            if self._asked.shows_thinking or not isinstance(piece, Reasoning):
                blocks.add(piece)
        content = blocks.whole()
        return orjson.dumps(
            {**self._identity(completion), "content": content, **ending.fields(), "usage": ending.usage()}
        )

    def feed(self, chunk: Json) -> bytes:
        events = [] if self._has_begun else self._begin(chunk)
        return b"".join([*events, *self._stream.feed(chunk)])

    def end(self) -> bytes:
        events = [] if self._has_begun else self._begin({})
        return b"".join([*events, *self._stream.end()])

    def _begin(self, chunk: Json) -> list[bytes]:
        self._has_begun = True
        message = self._identity(chunk)
        self._stream.message_id = message["id"]
        empty: Json = {"content": [], "stop_reason": None, "stop_sequence": None, "usage": _Ending(self._asked).usage()}
        return [encode_typed_event({"type": "message_start", "message": message | empty})]

    def _identity(self, document: Json) -> Json:
        given, model = document.get("id"), document.get("model")
        name = given if isinstance(given, str) and given else self._request_id
        return {
            "id": f"msg_{name.removeprefix('chatcmpl-')}",
            "type": "message",
            "role": "assistant",
            "model": model if isinstance(model, str) and model else self._asked.model,
        }


class _Ending:
    """Why a message ended, and what it took."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._finish = Finish("stop", None)
        self._counts = Counts(0, 0, 0)
        self._has_tool_use = self._is_refused = False

    def note(self, piece: Piece) -> None:
        if isinstance(piece, Finish):
            self._finish = piece
        elif isinstance(piece, Counts):
            self._counts = piece
        elif isinstance(piece, ToolCall):
            self._has_tool_use = True
        elif isinstance(piece, Refusal):
            self._is_refused = True

    def fields(self) -> Json:
        reason = "refusal" if self._is_refused else _STOP_REASONS.get(self._finish.reason, "end_turn")
        if self._has_tool_use and reason == "end_turn":
            reason = "tool_use"  # engines say "stop" of a call that the request demanded
        stop = self._finish.stop
        if reason == "end_turn" and stop in self._asked.stop_sequences:
            return {"stop_reason": "stop_sequence", "stop_sequence": stop}
        return {"stop_reason": reason, "stop_sequence": None}

    def usage(self) -> Json:
        """`input_tokens` are those that were read anew."""
        counts = self._counts
        return {
            "input_tokens": max(0, counts.num_prompt_tokens - counts.num_cached_tokens),
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": counts.num_cached_tokens,
            "output_tokens": counts.num_completion_tokens,
        }


def _tool_use(call: ToolCall, message_id: str) -> Json:
    call_id = call.call_id or f"toolu_{message_id.removeprefix('msg_')}_{call.index}"
    return {"type": "tool_use", "id": call_id, "name": call.name, "input": {}}


class _Blocks:
    """The content of a whole message."""

    def __init__(self, message_id: str) -> None:
        self._message_id = message_id
        self._open: object = None
        self._blocks: list[Json] = []
        self._texts: list[list[str]] = []

    def add(self, piece: Piece) -> None:
        place = _place(piece)
        if place is None:
            return
        if place != self._open:
            self._open = place
            self._blocks.append(_begin_block(piece, self._message_id))
            self._texts.append([])
        self._texts[-1].append(_said(piece))

    def whole(self) -> list[Json]:
        return [_filled(block, "".join(texts)) for block, texts in zip(self._blocks, self._texts, strict=True)]


def _place(piece: Piece) -> object:
    """What tells blocks apart; None for what is in no block."""
    if isinstance(piece, ToolCall):
        return piece.index
    return type(piece) if isinstance(piece, Text | Reasoning) else None


def _begin_block(piece: Piece, message_id: str) -> Json:
    if isinstance(piece, ToolCall):
        return _tool_use(piece, message_id)
    if isinstance(piece, Reasoning):
        return {"type": "thinking", "thinking": "", "signature": ""}
    return {"type": "text", "text": ""}


def _said(piece: Piece) -> str:
    if isinstance(piece, ToolCall):
        return piece.arguments
    return piece.text if isinstance(piece, Text | Reasoning) else ""


def _filled(block: Json, said: str) -> Json:
    if block["type"] == "tool_use":
        return {**block, "input": _arguments(said)}
    return {**block, block["type"]: said, **({"signature": _SIGNATURE} if block["type"] == "thinking" else {})}


def _arguments(text: str) -> Any:  # noqa: ANN401 - JSON
    """
    A tool's input. What is no JSON object, which models do write, is handed on under a name that no tool knows: the
    client refuses it, and the model sees why. Anthropic's guide to fine-grained streaming does the same.
    """
    if not text.strip():
        return {}
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        document = None
    return document if isinstance(document, dict) else {"INVALID_JSON": text}


class _Stream:
    """The events between a message's start and its end."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._in_order = InOrder()
        self._ending = _Ending(asked)
        self._open: object = None
        self._index = -1
        self._num_hidden = 0
        self.message_id = ""

    def feed(self, chunk: Json) -> Iterator[bytes]:
        for piece in pieces_of(chunk):
            for ordered in self._in_order.take(piece):
                yield from self._write(ordered)

    def end(self) -> Iterator[bytes]:
        for piece in self._in_order.rest():
            yield from self._write(piece)
        yield from self._close()
        fields, usage = self._ending.fields(), self._ending.usage()
        yield encode_typed_event({"type": "message_delta", "delta": fields, "usage": usage})
        yield encode_typed_event({"type": "message_stop"})

    def _write(self, piece: Piece) -> Iterator[bytes]:
        self._ending.note(piece)
        place = _place(piece)
        if place is None:
            return
        if isinstance(piece, Reasoning) and not self._asked.shows_thinking:
            self._num_hidden += 1
            if self._num_hidden % _HIDDEN_PER_KEEP_ALIVE == 0:
                yield KEEP_ALIVE
            return
        if place != self._open:
            yield from self._close()
            self._open = place
            self._index += 1
            block = _begin_block(piece, self.message_id)
            yield encode_typed_event({"type": "content_block_start", "index": self._index, "content_block": block})
        if _said(piece):
            yield encode_typed_event({"type": "content_block_delta", "index": self._index, "delta": _delta(piece)})

    def _close(self) -> Iterator[bytes]:
        if self._open is Reasoning:
            signed = {"type": "signature_delta", "signature": _SIGNATURE}
            yield encode_typed_event({"type": "content_block_delta", "index": self._index, "delta": signed})
        if self._open is not None:
            self._open = None
            yield encode_typed_event({"type": "content_block_stop", "index": self._index})


def _delta(piece: Piece) -> Json:
    if isinstance(piece, ToolCall):
        return {"type": "input_json_delta", "partial_json": piece.arguments}
    if isinstance(piece, Reasoning):
        return {"type": "thinking_delta", "thinking": piece.text}
    return {"type": "text_delta", "text": _said(piece)}
