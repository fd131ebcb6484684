"""A request's body: read within limits, parsed once."""

import codecs
import re
from collections.abc import Mapping
from typing import Final

import orjson

from router.errors import ClientDisconnected, InvalidRequest, RequestTimeout, RequestTooLarge
from router.http.asgi import Receive, Scope, header
from router.http.driving import within

_COMPRESSIONS: Final = frozenset({b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress", b"br", b"zstd"})


_HALF_CHARACTER: Final = re.compile(
    rb"(?<!\\)((?:\\\\)*)\\u(?:d[89ab][0-9a-f]{2}(?!\\ud[c-f])|(?<!\\ud[89ab][0-9a-f]{2}\\u)d[c-f][0-9a-f]{2})",
    re.IGNORECASE,
)
"""One half of a pair of escapes without the other, after backslashes that are themselves escaped."""


async def read_body(scope: Scope, receive: Receive, max_bytes: int, timeout_s: float) -> bytes:
    """
    The whole body.

    Raises:
        InvalidRequest: it is, or says that it is, compressed.
        RequestTooLarge: it is, or says that it is, larger than `max_bytes`.
        RequestTimeout: it was not there within `timeout_s`.
        ClientDisconnected: the client left before it was whole.
    """
    encoding = header(scope, b"content-encoding")
    if encoding and not _COMPRESSIONS.isdisjoint(map(bytes.strip, encoding.lower().split(b","))):
        named = encoding[:40].decode("latin-1")
        raise InvalidRequest(f"The body has the content-encoding {named!r}; send it as it is, without compression.")
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > max_bytes:
        raise _too_large(max_bytes)
    try:
        return await within(_read_parts(receive, max_bytes), timeout_s)
    except TimeoutError:
        raise RequestTimeout(f"The request's body did not arrive within {timeout_s:g} s.") from None


async def _read_parts(receive: Receive, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        part = bytes(message.get("body", b""))
        size += len(part)
        if size > max_bytes:
            raise _too_large(max_bytes)
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(max_bytes: int) -> RequestTooLarge:
    return RequestTooLarge(f"The request's body is larger than {max_bytes} bytes.")


def parse_object(body: bytes) -> dict[str, object]:
    """
    The JSON object that is the body.

    Raises:
        InvalidRequest: it is not JSON, not UTF-8, or not an object.
    """
    return parse_body(body)[0]


def parse_body(body: bytes) -> tuple[dict[str, object], bytes]:
    """
    The JSON object that is the body, and the body as every reader of JSON takes it: the same bytes, nearly always.

    Clients cut texts between the halves of a character, and send the half as an escape. In the history of a
    conversation it would be refused for ever, so it becomes U+FFFD, as everywhere else where text is read.

    Raises:
        InvalidRequest: as `parse_object`.
    """
    if not body.strip():
        raise InvalidRequest("The request has no body; a JSON object is expected.")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        body = _HALF_CHARACTER.sub(rb"\1\\ufffd", body.removeprefix(codecs.BOM_UTF8))
        document = _parse_mended(body)
    if not isinstance(document, dict):
        raise InvalidRequest(f"The body must be a JSON object, not {_json_type(document)}.")
    return document, body


def _parse_mended(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {_no_text(body) or error}.") from None


def _no_text(body: bytes) -> str | None:
    """Where the text is broken, which the JSON reader does not tell; None where it is text."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return f"byte 0x{body[error.start]:02x} at position {error.start} is not UTF-8"
    return None


def encode_object(document: Mapping[str, object]) -> bytes:
    """
    Raises:
        InvalidRequest: it is nested more deeply than the encoder goes, which is less deep than the decoder.
    """
    try:
        return orjson.dumps(document)
    except TypeError as error:
        raise InvalidRequest(f"The body cannot be passed on: {error}.") from None


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    return {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "an array"}[type(value)]
