"""
`POST /v1/fim/completions`: a text completion with a suffix, answered in the shape of a chat.

Source: Mistral's OpenAPI document, `FIMCompletionRequest` and `FIMCompletionResponse`.
"""

from dataclasses import dataclass

import orjson

from router.call import Call
from router.http.asgi import Receive, Scope, Send
from router.http.bodies import parse_object
from router.http.event_stream import DONE, encode_event
from router.state import RouterState
from router.validation import requested_model
from router.wire_apis.completing import completion_call
from router.wire_apis.error_words import OpenAiErrors
from router.wire_apis.fields import fault
from router.wire_apis.pieces import Json
from router.wire_apis.translation import ErrorWords, Reading, TranslatedGeneration

_SAME = ("max_tokens", "min_tokens", "stop", "temperature", "top_p", "n")


class Fim:
    """One path of it: clients' addresses end with `/v1` or do not."""

    summary = "What is between two texts, as Mistral has it"
    methods: tuple[str, ...] = ("POST",)
    needs_key = True
    errors: ErrorWords = OpenAiErrors({"seed": "random_seed"})
    id_header: bytes | None = None

    def __init__(self, path: str) -> None:
        self.path = path

    def read(self, raw: bytes, request_id: str) -> Reading:
        """
        Raises:
            InvalidRequest: the request has a mistake, which the message names.
        """
        document = parse_object(raw)
        body: Json = {"model": requested_model(document), "prompt": _text(document, "prompt")}
        body["suffix"] = "" if document.get("suffix") is None else _text(document, "suffix")
        body |= {name: document[name] for name in _SAME if document.get(name) is not None}
        if document.get("random_seed") is not None:
            body["seed"] = document["random_seed"]
        if document.get("stream") is not None:
            body["stream"] = document["stream"]
        return Reading(body, FimWriter(body["model"], request_id))

    async def serve(self, state: RouterState, scope: Scope, receive: Receive, send: Send) -> None:
        await _FimGeneration(state, self, scope, receive, send).serve()


class _FimGeneration(TranslatedGeneration):
    def _call(self, reading: Reading, session: bytes) -> Call:
        return completion_call(reading.body, session, is_stream=reading.body.get("stream") is True)


@dataclass(slots=True)
class FimWriter:
    """Writes one answer. `request_id` is for engines that give theirs no id."""

    model: str
    request_id: str
    _finish: Json | None = None
    """The last event with a choice, which waits for the usage that it has."""
    _has_begun: bool = False

    def whole(self, completion: Json) -> bytes:
        choices = [
            {
                "index": choice.get("index", place),
                "message": {"role": "assistant", "content": choice["text"], "tool_calls": None, "prefix": False},
                "finish_reason": choice.get("finish_reason"),
            }
            for place, choice in enumerate(completion["choices"])
        ]
        head = self._head(completion, "chat.completion")
        return orjson.dumps({**head, "choices": choices, "usage": completion.get("usage")})

    def feed(self, chunk: Json) -> bytes:
        if not chunk.get("choices"):
            usage = chunk.get("usage")
            if usage is not None and self._finish is not None:
                self._finish["usage"] = usage
            return b""
        choices = [self._part(choice) for choice in chunk["choices"]]
        event = {**self._head(chunk, "chat.completion.chunk"), "choices": choices}
        if all(choice["finish_reason"] is None for choice in choices):
            return encode_event(event)
        before, self._finish = self._finish, event
        return b"" if before is None else encode_event(before)

    def end(self) -> bytes:
        return (b"" if self._finish is None else encode_event(self._finish)) + DONE

    def _part(self, choice: Json) -> Json:
        delta: Json = {"content": choice.get("text") or ""}
        if not self._has_begun:
            self._has_begun, delta = True, {"role": "assistant", **delta}
        return {"index": choice.get("index", 0), "delta": delta, "finish_reason": choice.get("finish_reason")}

    def _head(self, document: Json, kind: str) -> Json:
        return {
            "id": document.get("id") or self.request_id,
            "object": kind,
            "created": document.get("created", 0),
            "model": document.get("model") or self.model,
        }


def _text(document: Json, name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise fault(name, "a string")
    return value
