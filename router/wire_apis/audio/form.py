"""A form with a recording: its fields are read, its bytes stay as they are but for the model's name. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from router.errors import InvalidRequest, RequestTooLarge

_MAX_PARTS: Final = 64
"""Also bounds the parser's work, which is Python's for each part and C's for what is in it."""
_MAX_FIELD_BYTES: Final = 65_536
"""Of a field that is no file. Whisper reads no more than the last 224 tokens of a `prompt`."""
_FILE: Final = "file"
_MODEL: Final = "model"


@dataclass(slots=True, frozen=True)
class Form:
    """
    `fields` has the texts by name, those of a list (`name[]`) under one name with commas between, without the file.
    `model_at` is where in `raw` the model's name begins and ends.
    """

    raw: bytes
    content_type: str
    fields: Mapping[str, str]
    model_at: tuple[int, int]

    def with_model(self, name: str) -> bytes:
        """The same form for a server that knows the model by `name`, under the same content type."""
        start, end = self.model_at
        return self.raw if name == self.fields[_MODEL] else b"".join((self.raw[:start], name.encode(), self.raw[end:]))


def read_form(content_type: bytes | None, raw: bytes) -> Form:
    """
    Raises:
        InvalidRequest: it is no form, was cut short, or lacks its file or the name of a model.
        RequestTooLarge: a field that is no file is too long.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if content_type is None or not content_type.isascii() or kind != b"multipart/form-data":
        raise InvalidRequest("A recording is sent as multipart/form-data, with the fields `file` and `model`.")
    if not boundary:
        raise InvalidRequest("The content type multipart/form-data has no boundary.")
    if raw.count(b"--" + boundary) > _MAX_PARTS + 1:
        raise InvalidRequest(f"The form has more than {_MAX_PARTS} fields.")
    reader = _Reader(boundary)
    reader.read(raw)
    return Form(raw, content_type.decode(), reader.fields, reader.model_at)


class _Reader:
    """Hears what the parser finds in one form."""

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, str] = {}
        self.model_at = (0, 0)
        self._has_file = self._is_whole = False
        self._name = self._disposition = self._header = ""
        self._spans: list[tuple[int, int]] = []
        self._num_bytes = 0
        self._value = b""
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_name,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_end,
                    "on_part_data": self._data,
                    "on_part_end": self._end,
                    "on_end": self._whole,
                },
            )
        except FormParserError as error:
            raise InvalidRequest(f"The multipart boundary cannot be used: {error}.") from None

    def read(self, raw: bytes) -> None:
        """In one go, so that what the parser calls a place is a place in `raw`."""
        try:
            self._parser.write(raw)
        except FormParserError as error:
            raise InvalidRequest(f"The body is not valid multipart/form-data: {error}.") from None
        if not self._is_whole:
            raise InvalidRequest("The form ends before its last boundary.")
        if not self._has_file:
            raise InvalidRequest("`file` is missing.", param=_FILE)
        if not self.fields.get(_MODEL):
            raise InvalidRequest("`model` is missing.", param=_MODEL)

    def _begin(self) -> None:
        self._header = self._disposition = ""
        self._spans, self._value, self._num_bytes = [], b"", 0

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end].decode("latin-1").lower()

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        if self._header == "content-disposition":
            self._disposition += data[start:end].decode("latin-1")

    def _header_end(self) -> None:
        self._header = ""

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode(errors="replace")
        if self._name == _FILE:
            if self._has_file:
                raise InvalidRequest("The form has more than one `file`.", param=_FILE)
            if b"filename" not in options:
                raise InvalidRequest("`file` must be a file, with a file name.", param=_FILE)
            self._has_file = True
        elif self._name in self.fields and not self._name.endswith("[]"):
            raise InvalidRequest(f"The form has more than one `{self._name[:100]}`.", param=self._name[:100])

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._num_bytes += end - start
        if self._name == _FILE:
            return
        if self._num_bytes > _MAX_FIELD_BYTES:
            shown = self._name[:100]
            raise RequestTooLarge(f"`{shown}` has more than {_MAX_FIELD_BYTES} bytes.", param=shown)
        self._spans.append((start, end))
        self._value += data[start:end]

    def _end(self) -> None:
        if self._name == _FILE:
            if not self._num_bytes:
                raise InvalidRequest("`file` is empty.", param=_FILE)
            return
        text = self._value.decode(errors="replace")
        before = self.fields.get(self._name)
        self.fields[self._name] = text if before is None else f"{before},{text}"
        if self._name == _MODEL and self._spans:
            self.model_at = (self._spans[0][0], self._spans[-1][1])

    def _whole(self) -> None:
        self._is_whole = True
