"""Errors in Anthropic's words. Statuses stay what they are elsewhere: its SDKs repeat 408, 409, 429 and from 500 on."""

import re

import orjson

from router.errors import (
    ContextLengthExceeded,
    EngineOverloaded,
    EngineTimeout,
    EngineUnavailable,
    InvalidApiKey,
    ModelNotFound,
    ObjectNotFound,
    RateLimited,
    RequestTooLarge,
    RouteNotFound,
    ServingError,
)
from router.http.event_stream import encode_typed_event
from router.wire_apis.pieces import Json

_TYPES: tuple[tuple[type[ServingError], str], ...] = (
    (InvalidApiKey, "authentication_error"),
    (RouteNotFound, "not_found_error"),
    (ModelNotFound, "not_found_error"),
    (ObjectNotFound, "not_found_error"),
    (RequestTooLarge, "request_too_large"),
    (RateLimited, "rate_limit_error"),
    (EngineOverloaded, "overloaded_error"),
    (EngineUnavailable, "overloaded_error"),
    (EngineTimeout, "timeout_error"),
)

_TOKENS = re.compile(r"(\d+)\s+tokens")


class AnthropicErrors:
    """Nothing says which field is at fault but the message, which always does."""

    def body(self, error: ServingError, request_id: str) -> bytes:
        return orjson.dumps(_envelope(error, request_id))

    def event(self, error: ServingError, request_id: str) -> bytes:
        """The last event of a stream that broke; `message_stop` does not follow it."""
        return encode_typed_event(_envelope(error, request_id))


ERRORS = AnthropicErrors()


def error_type(error: ServingError) -> str:
    named = next((name for kind, name in _TYPES if isinstance(error, kind)), None)
    return named or ("api_error" if error.status >= 500 else "invalid_request_error")


def _envelope(error: ServingError, request_id: str) -> Json:
    message = _too_long(error.message) if isinstance(error, ContextLengthExceeded) else error.message
    return {"type": "error", "error": {"type": error_type(error), "message": message}, "request_id": request_id}


def _too_long(words: str) -> str:
    """
    As Anthropic says it, where the engine's words have both numbers and no other.

    Claude Code 2.1 knows an overflow by the first words, and reads from the numbers by how much to shorten.
    """
    counts = [int(count) for count in _TOKENS.findall(words)]
    if len(counts) != 2:
        return f"prompt is too long: {words}"
    return f"prompt is too long: {max(counts)} tokens > {min(counts)} maximum ({words.rstrip('.')})"
