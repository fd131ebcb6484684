"""Bodies and events as a front writes and reads them."""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from deployments.engines.front.dialect import JsonObject

DONE = b"data: [DONE]\n\n"
_TYPES = {401: "authentication_error", 403: "authentication_error", 429: "rate_limit_error"}
_EVENT = re.compile(rb"(.*?)\r?\n\r?\n", re.DOTALL)
_MAX_MESSAGE_CHARACTERS = 2000

_TOO_LONG = re.compile(r"`default_max_tokens` \(-?\d+\) must be greater than 0|should not exceed max_num_tokens")
"""How TensorRT-LLM words a prompt that does not fit. Source: version 1.3.0rc3, its checks of a request's lengths."""


def error_document(status: int, message: str, *, param: str | None = None, code: str | None = None) -> JsonObject:
    """OpenAI's error envelope."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code or _code(status)}}


def _code(status: int) -> str:
    return "invalid_request" if status < 500 else "engine_failed"


def read_error(status: int, body: bytes) -> JsonObject:
    """
    A server's error in OpenAI's envelope, whatever shape it came in: the envelope itself, `{"error": "text"}`, a flat
    `{"object": "error", "message": ...}`, FastAPI's `{"detail": ...}`, or no JSON at all.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return error_document(status, _shortened(body.decode(errors="replace")) or f"The server answered {status}.")
    inner = document.get("error", document) if isinstance(document, dict) else document
    fields: dict[str, Any] = inner if isinstance(inner, dict) else {"message": inner}
    message = fields.get("message") or fields.get("detail") or f"The server answered {status}."
    words = message if isinstance(message, str) else orjson.dumps(message).decode()
    if _TOO_LONG.search(words):
        words = f"This prompt exceeds the maximum context length of the model: {words}"
    param, code = fields.get("param"), fields.get("code")
    return error_document(
        status,
        _shortened(words),
        param=param if isinstance(param, str) else None,
        code=code if isinstance(code, str) else None,
    )


def _shortened(message: str) -> str:
    return message[:_MAX_MESSAGE_CHARACTERS]


def encode_event(document: JsonObject) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\n\n"


class EventReader:
    """Cuts a stream of bytes into the payloads of its events. Comments and fields other than `data` are dropped."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads that `data` completes."""
        text = self._rest + data
        end = 0
        for event in _EVENT.finditer(text):
            end = event.end()
            lines = [line[5:].strip() for line in event[1].splitlines() if line.startswith(b"data:")]
            if lines:
                yield b"\n".join(lines)
        self._rest = text[end:]
