"""Multipart forms, part by part, as their bytes come."""

from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from router.errors import InvalidRequest


class PartSink(Protocol):
    """Who takes the parts. What it raises comes out of `FormReader.feed`."""

    def part_begins(self, name: str, filename: str | None) -> None:
        """`filename` is None where the part has none: then it is a field."""

    def part_data(self, data: bytes, start: int, end: int) -> None:
        """More of the part: `data[start:end]`, where `data` is what `feed` was given."""

    def part_ends(self) -> None: ...


def boundary_of(content_type: bytes | None, wanted: str) -> bytes:
    """
    Raises:
        InvalidRequest: it is no form, and `wanted` says what is sent instead; or it has no boundary.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise InvalidRequest(wanted)
    if not options.get(b"boundary"):
        raise InvalidRequest("The content type multipart/form-data has no boundary.")
    return options[b"boundary"]


class FormReader:
    """
    Reads one form.

    Raises:
        InvalidRequest: the boundary cannot be one.
    """

    def __init__(self, boundary: bytes, sink: PartSink) -> None:
        self._sink = sink
        self._header = self._disposition = ""
        self._is_whole = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_end,
                    "on_part_data": sink.part_data,
                    "on_part_end": sink.part_ends,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise InvalidRequest(f"The multipart boundary cannot be used: {error}.") from None

    def feed(self, data: bytes) -> None:
        """
        Raises:
            InvalidRequest: this is no form.
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise InvalidRequest(f"The body is not valid multipart/form-data: {error}.") from None

    def close(self) -> None:
        """
        Raises:
            InvalidRequest: the form was cut short.
        """
        if not self._is_whole:
            raise InvalidRequest("The multipart body ends before its last boundary.")

    def _begin(self) -> None:
        self._header = self._disposition = ""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end].decode("latin-1").lower()

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        if self._header == "content-disposition":
            self._disposition += data[start:end].decode("latin-1")

    def _header_end(self) -> None:
        self._header = ""

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        filename = options.get(b"filename")
        name = options.get(b"name", b"").decode(errors="replace")
        self._sink.part_begins(name, None if filename is None else filename.decode(errors="replace"))

    def _end(self) -> None:
        self._is_whole = True
