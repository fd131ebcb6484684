"""Errors on the wire: the only place that builds an error body."""

import math

import orjson

from router.errors import ServingError

Headers = list[tuple[bytes, bytes]]


def error_envelope(error: ServingError) -> dict[str, dict[str, str | None]]:
    """OpenAI's shape. `code` is a string, as the SDKs read it; the status is in the status line only."""
    return {"error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code}}


def error_body(error: ServingError) -> bytes:
    return orjson.dumps(error_envelope(error))


def error_event(error: ServingError) -> bytes:
    """
    The last event of a stream that broke.

    No `[DONE]` follows it: with one, several editor clients would take the truncated answer for a complete one.
    """
    return b"data: " + error_body(error) + b"\n\n"


def error_headers(error: ServingError) -> Headers:
    headers: Headers = [(b"x-enginehouse-error-source", b"engine" if error.from_engine else b"router")]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(error.retry_after_s))).encode()))
    if error.should_retry is not None:
        headers.append((b"x-should-retry", b"true" if error.should_retry else b"false"))
    return headers
