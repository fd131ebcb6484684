"""A form with a recording: its fields are read, its bytes stay as they are but for the model's name. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from router.errors import InvalidRequest, RequestTooLarge
from router.http.multipart import FormReader, boundary_of

_MAX_PARTS: Final = 64
"""Also bounds the parser's work, which is Python's for each part and C's for what is in it."""
_MAX_FIELD_BYTES: Final = 65_536
"""Of a field that is no file. Whisper reads no more than the last 224 tokens of a `prompt`."""
MAX_FORM_BYTES: Final = 262_144
"""What a form may have beside the longest recording: its other fields, and what parts them."""
_FILE: Final = "file"
_MODEL: Final = "model"
_WANTED: Final = "A recording is sent as multipart/form-data, with the fields `file` and `model`."


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
        if name == self.fields[_MODEL]:
            return self.raw
        (start, end), raw = self.model_at, memoryview(self.raw)  # slices of bytes would be copies of the recording
        return b"".join((raw[:start], name.encode(), raw[end:]))


def read_form(content_type: bytes | None, raw: bytes) -> Form:
    """
    Raises:
        InvalidRequest: it is no form, was cut short, or lacks its file or the name of a model.
        RequestTooLarge: a field that is no file is too long.
    """
    boundary = boundary_of(content_type, _WANTED)
    if content_type is None or not content_type.isascii():
        raise InvalidRequest(_WANTED)
    if raw.count(b"--" + boundary) > _MAX_PARTS + 1:
        raise InvalidRequest(f"The form has more than {_MAX_PARTS} fields.")
    parts = _Parts()
    reader = FormReader(boundary, parts)
    reader.feed(raw)  # in one go, so that what the parser calls a place is a place in `raw`
    reader.close()
    if not parts.has_file:
        raise InvalidRequest("`file` is missing.", param=_FILE)
    if not parts.fields.get(_MODEL):
        raise InvalidRequest("`model` is missing.", param=_MODEL)
    return Form(raw, content_type.decode(), parts.fields, parts.model_at)


class _Parts:
    """What is found in one form."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self.model_at = (0, 0)
        self.has_file = False
        self._name = ""
        self._spans: list[tuple[int, int]] = []
        self._num_bytes = 0
        self._value = b""

    def part_begins(self, name: str, filename: str | None) -> None:
        self._name, self._spans, self._value, self._num_bytes = name, [], b"", 0
        if name == _FILE:
            if self.has_file:
                raise InvalidRequest("The form has more than one `file`.", param=_FILE)
            if filename is None:
                raise InvalidRequest("`file` must be a file, with a file name.", param=_FILE)
            self.has_file = True
        elif name in self.fields and not name.endswith("[]"):
            raise InvalidRequest(f"The form has more than one `{name[:100]}`.", param=name[:100])

    def part_data(self, data: bytes, start: int, end: int) -> None:
        self._num_bytes += end - start
        if self._name == _FILE:
            return
        if self._num_bytes > _MAX_FIELD_BYTES:
            shown = self._name[:100]
            raise RequestTooLarge(f"`{shown}` has more than {_MAX_FIELD_BYTES} bytes.", param=shown)
        self._spans.append((start, end))
        self._value += data[start:end]

    def part_ends(self) -> None:
        if self._name == _FILE:
            if not self._num_bytes:
                raise InvalidRequest("`file` is empty.", param=_FILE)
            return
        text = self._value.decode(errors="replace")
        before = self.fields.get(self._name)
        self.fields[self._name] = text if before is None else f"{before},{text}"
        if self._name == _MODEL and self._spans:
            self.model_at = (self._spans[0][0], self._spans[-1][1])
