"""A chat completion as a response: whole, or as the events of a stream. Pure, but for the time that it was made at."""

import time
from collections.abc import Iterator

import orjson

from router.http.event_stream import encode_typed_event
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
from router.wire_apis.responses.requests import Asked
from router.wire_apis.responses.tools import ToolName, custom_input

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponseWriter:
    """
    Writes one response, as a stream's events and as a whole out of the same steps.

    `request_id` is for engines that give their answers no id.
    """

    def __init__(self, asked: Asked, request_id: str) -> None:
        self._asked = asked
        self._name = request_id
        self._model = asked.model
        self._created_at = int(time.time())
        self._in_order = InOrder()
        self._output: list[Json] = []
        self._open: object = None
        self._kind = "output_text"
        """Of what the open item has, as events and parts call it."""
        self._said: list[str] = []
        self._finish = Finish("stop", None)
        self._counts: Counts | None = None
        self._number = 0
        self._has_begun = False

    def whole(self, completion: Json) -> bytes:
        self._identify(completion)
        for piece in pieces_of_whole(completion):
            for _ in self._write(piece):
                pass
        for _ in self._close():
            pass
        return orjson.dumps(self._response())

    def feed(self, chunk: Json) -> bytes:
        return b"".join([*self._begin(chunk), *map(self._encode, self._of(chunk))])

    def end(self) -> bytes:
        begun = list(self._begin({}))
        rest = [event for piece in self._in_order.rest() for event in self._write(piece)]
        events = [*rest, *self._close()]
        response = self._response()
        events.append({"type": f"response.{response['status']}", "response": response})
        return b"".join([*begun, *map(self._encode, events)])

    def _begin(self, chunk: Json) -> Iterator[bytes]:
        if self._has_begun:
            return
        self._has_begun = True
        self._identify(chunk)
        response = {**self._response(), "status": "in_progress", "usage": None}
        for kind in ("response.created", "response.in_progress"):
            yield self._encode({"type": kind, "response": response})

    def _of(self, chunk: Json) -> Iterator[Json]:
        for piece in pieces_of(chunk):
            for ordered in self._in_order.take(piece):
                yield from self._write(ordered)

    def _encode(self, event: Json) -> bytes:
        self._number += 1
        return encode_typed_event({**event, "sequence_number": self._number - 1})

    def _identify(self, document: Json) -> None:
        name, model = document.get("id"), document.get("model")
        if isinstance(name, str) and name:
            self._name = name.removeprefix("chatcmpl-")
        if isinstance(model, str) and model:
            self._model = model

    # one item after another

    def _write(self, piece: Piece) -> Iterator[Json]:
        if isinstance(piece, Finish):
            self._finish = piece
        elif isinstance(piece, Counts):
            self._counts = piece
        else:
            place = piece.index if isinstance(piece, ToolCall) else type(piece)
            if place != self._open:
                yield from self._close()
                self._open = place
                yield from self._open_item(piece)
            yield from self._say(piece)

    def _open_item(self, piece: Text | Reasoning | ToolCall) -> Iterator[Json]:
        number = len(self._output)
        item = self._begin_item(piece, f"{self._name}_{number}")
        self._kind = _KINDS.get(item["type"]) or ("refusal" if isinstance(piece, Refusal) else "output_text")
        self._output.append(item)
        self._said = []
        yield {"type": "response.output_item.added", "output_index": number, "item": dict(item)}
        if item["type"] not in _CALLS:
            yield {**self._place(), "type": "response.content_part.added", "part": _part(self._kind, "")}

    def _say(self, piece: Text | Reasoning | ToolCall) -> Iterator[Json]:
        said = piece.arguments if isinstance(piece, ToolCall) else piece.text
        if said:
            self._said.append(said)
        if said and self._kind != "custom_tool_call_input":  # which is in a JSON text here
            yield {**self._place(), "type": f"response.{self._kind}.delta", "delta": said, **self._logprobs()}

    def _close(self) -> Iterator[Json]:
        if self._open is None:
            return
        self._open = None
        item, said, place = self._output[-1], "".join(self._said), self._place()
        item["status"] = "incomplete" if self._finish.reason in _INCOMPLETE else "completed"
        if item["type"] == "function_call":
            item["arguments"] = said or "{}"
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield {**place, "type": f"response.{self._kind}.done", **done}
        elif item["type"] == "custom_tool_call":
            item["input"] = custom_input(said)
            yield {**place, "type": f"response.{self._kind}.delta", "delta": item["input"]}
            yield {**place, "type": f"response.{self._kind}.done", "input": item["input"]}
        else:
            part = _part(self._kind, said)
            item["content"] = [part]
            field = "refusal" if self._kind == "refusal" else "text"
            yield {**place, "type": f"response.{self._kind}.done", field: said, **self._logprobs()}
            yield {**place, "type": "response.content_part.done", "part": part}
        yield {"type": "response.output_item.done", "output_index": len(self._output) - 1, "item": dict(item)}

    def _logprobs(self) -> Json:
        """Clients want the field where a text is."""
        return {"logprobs": []} if self._kind == "output_text" else {}

    def _place(self) -> Json:
        item = self._output[-1]
        place = {"item_id": item["id"], "output_index": len(self._output) - 1}
        return place if item["type"] in _CALLS else {**place, "content_index": 0}

    def _begin_item(self, piece: Text | Reasoning | ToolCall, name: str) -> Json:
        if isinstance(piece, ToolCall):
            origin = self._asked.tools.get(piece.name) or ToolName(piece.name)
            return _begin_call(origin, piece.call_id or f"call_{name}", name)
        if isinstance(piece, Reasoning):
            return {"type": "reasoning", "id": f"rs_{name}", "summary": [], "content": [], "status": "in_progress"}
        return {"type": "message", "id": f"msg_{name}", "role": "assistant", "content": [], "status": "in_progress"}

    # the whole of it

    def _response(self) -> Json:
        reason = _INCOMPLETE.get(self._finish.reason)
        return {
            **_DEFAULTS,
            **self._asked.echo,
            "id": f"resp_{self._name}",
            "object": "response",
            "created_at": self._created_at,
            "status": "completed" if reason is None else "incomplete",
            "incomplete_details": None if reason is None else {"reason": reason},
            "model": self._model,
            "output": [dict(item) for item in self._output],
            "usage": None if self._counts is None else _usage(self._counts),
        }


_DEFAULTS: Json = {
    "error": None, "instructions": None, "max_output_tokens": None, "metadata": {}, "parallel_tool_calls": True,
    "previous_response_id": None, "reasoning": {"effort": None, "summary": None}, "store": False, "temperature": None,
    "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": None, "truncation": "disabled",
}  # fmt: skip


_KINDS = {
    "function_call": "function_call_arguments",
    "custom_tool_call": "custom_tool_call_input",
    "reasoning": "reasoning_text",
}
"""What events call what an item has."""
_CALLS = ("function_call", "custom_tool_call")


def _begin_call(origin: ToolName, call_id: str, name: str) -> Json:
    """By the name and in the group that the client knows: Codex calls nothing that comes by another."""
    named = ("custom_tool_call", "ctc", "input") if origin.is_custom else ("function_call", "fc", "arguments")
    kind, prefix, held = named
    group = {} if origin.namespace is None else {"namespace": origin.namespace}
    return {
        "type": kind, "id": f"{prefix}_{name}", "call_id": call_id, "name": origin.name, **group, held: "",
        "status": "in_progress",
    }  # fmt: skip


def _part(kind: str, text: str) -> Json:
    if kind == "reasoning_text":
        return {"type": kind, "text": text}
    if kind == "refusal":
        return {"type": kind, "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _usage(counts: Counts) -> Json:
    return {
        "input_tokens": counts.num_prompt_tokens,
        "input_tokens_details": {"cached_tokens": counts.num_cached_tokens, "cache_write_tokens": 0},
        "output_tokens": counts.num_completion_tokens,
        "output_tokens_details": {"reasoning_tokens": counts.num_reasoning_tokens},
        "total_tokens": counts.num_prompt_tokens + counts.num_completion_tokens,
    }
