"""router.http.bodies: a request's body, within limits."""

import asyncio
import json
from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ClientDisconnected, InvalidRequest, RequestTimeout, RequestTooLarge
from router.http.asgi import Headers, Message, Receive
from router.http.bodies import encode_object, parse_body, parse_object, read_body


def part(body: bytes, *, more_body: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more_body}


DISCONNECT: Message = {"type": "http.disconnect"}


def receiving(messages: Sequence[Message]) -> Receive:
    """An ASGI `receive` that brings these, and then nothing more."""
    left = list(messages)

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


async def read(messages: Sequence[Message], headers: Headers | None = None, timeout_s: float = 60) -> bytes:
    return await read_body({"headers": headers or []}, receiving(messages), 10, timeout_s)


@pytest.mark.parametrize(
    "messages",
    [
        [part(b"0123456789", more_body=False)],
        [part(b"01234", more_body=True), part(b"56789", more_body=False)],
        [part(b"", more_body=True), part(b"0123456789", more_body=True), {"type": "http.request"}],
    ],
)
async def test_a_body_of_the_largest_size_is_read(messages: list[Message]) -> None:
    """In one part or in several."""
    assert b"0123456789" == await read(messages)


@pytest.mark.parametrize(
    "messages",
    [
        [part(b"0123456789a", more_body=False)],
        [part(b"01234", more_body=True), part(b"56789a", more_body=False)],
        [part(b"0123456789a", more_body=True)],
    ],
)
async def test_a_byte_more_is_too_large(messages: list[Message]) -> None:
    """As soon as it is seen, without waiting for the rest."""
    with pytest.raises(RequestTooLarge, match="larger than 10 bytes"):
        await read(messages)


async def test_a_length_that_is_too_large_is_believed() -> None:
    """Nothing is read."""
    with pytest.raises(RequestTooLarge):
        await read([], [(b"content-length", b"11")])


async def test_a_client_that_leaves_is_no_error_to_answer() -> None:
    """There is nobody to answer."""
    with pytest.raises(ClientDisconnected):
        await read([DISCONNECT])
    with pytest.raises(ClientDisconnected):
        await read([part(b"0", more_body=True), DISCONNECT])


async def test_a_body_has_to_come_in_time() -> None:
    """The limit is on the whole, not on a part."""
    with pytest.raises(RequestTimeout, match=r"did not arrive within 0\.01 s"):
        await read([part(b"0", more_body=True)], timeout_s=0.01)


def test_an_object_is_parsed() -> None:
    """With whatever it holds."""
    assert {"a": [1, None, "ü"]} == parse_object('{"a": [1, null, "ü"]}'.encode())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The request has no body; a JSON object is expected."),
        (b" \r\n", "The request has no body; a JSON object is expected."),
        (b"null", "The body must be a JSON object, not null."),
        (b"true", "The body must be a JSON object, not a boolean."),
        (b"1", "The body must be a JSON object, not a number."),
        (b"1.5", "The body must be a JSON object, not a number."),
        (b'"a"', "The body must be a JSON object, not a string."),
        (b"[]", "The body must be a JSON object, not an array."),
    ],
)
def test_what_is_no_object_is_said(body: bytes, message: str) -> None:
    """In JSON's own words."""
    with pytest.raises(InvalidRequest) as invalid:
        parse_object(body)
    assert message == invalid.value.message


@pytest.mark.parametrize(
    "body",
    [b'{"a": ', b"{'a': 1}", b'{"a": NaN}', b'{"a": 1}{', b'{"a": "\xff"}', b'{"a": "\\ud80"}', b"[" * 100_000],
)
def test_what_is_no_json_is_said(body: bytes) -> None:
    """Cut off, in the wrong quotes, not UTF-8 or nested without end: one answer."""
    with pytest.raises(InvalidRequest, match="The body is not valid JSON: "):
        parse_object(body)


def test_a_body_that_is_too_deep_to_be_passed_on_is_the_clients_fault() -> None:
    """The decoder goes deeper than the encoder; what lies between is a 400, not a failure of the router."""
    document = parse_object(b'{"tools": ' + b"[" * 400 + b"]" * 400 + b"}")

    with pytest.raises(InvalidRequest):
        encode_object(document)


@pytest.mark.parametrize("encoding", [b"gzip", b"zstd", b"br", b"Deflate", b"identity, gzip"])
async def test_a_compressed_body_is_refused_by_its_name(encoding: bytes) -> None:
    """Else its sender would be told that it is no JSON."""
    with pytest.raises(InvalidRequest, match=f"content-encoding '{encoding.decode()}'; send it as it is"):
        await read([], [(b"content-encoding", encoding)])


@pytest.mark.parametrize("encoding", [b"", b"identity", b"utf-8"])
async def test_an_encoding_that_compresses_nothing_is_passed_over(encoding: bytes) -> None:
    """Some clients write what the text is encoded in."""
    assert b"{}" == await read([part(b"{}", more_body=False)], [(b"content-encoding", encoding)])


def test_a_byte_that_is_no_text_is_named() -> None:
    """With its place, where the JSON reader names the beginning."""
    with pytest.raises(InvalidRequest, match="not valid JSON: byte 0xff at position 7 is not UTF-8"):
        parse_object(b'{"a": "\xff"}')


@pytest.mark.parametrize(
    ("escapes", "text"),
    [
        (rb"\ud83d", "\ufffd"),
        (rb"\uDE00", "\ufffd"),
        (rb"a\ud83d\ud83dz", "a\ufffd\ufffdz"),
        (rb"\ude00\ud83d", "\ufffd\ufffd"),
        (rb"\ud83d\u0041", "\ufffdA"),
        (rb"\ud83d\ude00\ude00", "\U0001f600\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\\\ud83d", "\\\ufffd"),
        (rb"\\ud83d\ud83d", "\\ud83d\ufffd"),
        (rb"\ud83d\\ude00", "\ufffd\\ude00"),
    ],
)
def test_half_a_character(escapes: bytes, text: str) -> None:
    """Is a sign that stands for one, as clients cut texts anywhere; what is whole, and what is no escape, stays."""
    document, body = parse_body(b'{"a":"' + escapes + b'"}')
    assert ({"a": text}, {"a": text}) == (document, orjson.loads(body))


def test_a_mark_of_the_byte_order() -> None:
    """Is no part of the body."""
    assert ({"a": 1}, b'{"a":1}') == parse_body(b'\xef\xbb\xbf{"a":1}')


@given(st.text(), st.integers(0, 40))
def test_a_text_that_was_cut_anywhere(text: str, place: int) -> None:
    """Between two halves, as JavaScript counts letters: what can be read of it is read."""
    units = text.encode("utf-16-le", "surrogatepass")[: 2 * place].decode("utf-16-le", "surrogatepass")
    document, _ = parse_body(json.dumps({"a": units}).encode())
    assert {"a": units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")} == document


def test_what_is_no_json_costs_no_more_than_its_length() -> None:
    """Such a body is read twice at most, however many backslashes it has."""
    for body in (b"\\" * 1_000_000, rb"\ud83d" * 200_000, rb"\\\u" * 200_000, b"\xef\xbb\xbf" * 200_000):
        with pytest.raises(InvalidRequest, match="not valid JSON"):
            parse_object(body)
