"""The lines of an input file: found, checked, and cut into chunks. Pure; the command line checks with it, too."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import orjson

from router.batches.records import Fault, Reading
from router.call import ROUTES

LINES_PER_CHUNK = 16
"""Lines whose results are kept together: a killed house asks at most this many again for each chunk under way, and a
batch of 50,000 lines makes 3,125 objects."""
_MAX_FAULTS = 100
_MAX_CUSTOM_ID = 512


@dataclass(frozen=True, slots=True)
class Line:
    """One request of a batch. `number` counts requests from 0."""

    number: int
    custom_id: str
    model: str
    body: dict[str, object]


class BadLine(Exception):
    """A line that cannot be asked. `param` names its faulty field."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def parse_line(text: bytes, endpoint: str) -> tuple[str, str, dict[str, object]]:
    """
    `custom_id`, model and body.

    Raises:
        BadLine: it is no request for this endpoint. What its body says is looked at when it is asked.
    """
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadLine("invalid_json_line", f"This line is not valid JSON: {error}.") from None
    if not isinstance(document, dict):
        raise BadLine("invalid_json_line", "This line is not a JSON object.")
    custom_id = document.get("custom_id")
    if not isinstance(custom_id, str) or not 1 <= len(custom_id) <= _MAX_CUSTOM_ID:
        raise BadLine("missing_required_parameter", f"Needs a text of 1 to {_MAX_CUSTOM_ID} characters.", "custom_id")
    if document.get("method") != "POST":
        raise BadLine("invalid_method", "Must be 'POST'.", "method")
    if document.get("url") != endpoint:
        raise BadLine("mismatched_url", f"Must be the batch's endpoint, {endpoint!r}.", "url")
    body = document.get("body")
    if not isinstance(body, dict):
        raise BadLine("missing_required_parameter", "Needs a JSON object: the request.", "body")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadLine("missing_required_parameter", "Needs the name of a model.", "body.model")
    return custom_id, model, body


class FileCheck:
    """
    Reads a file part by part and finds its lines. Holds one line, and a digest of each `custom_id`.

    Blank lines do not count. At most 100 faults are kept; then the rest of the file is not looked at.
    """

    def __init__(
        self, endpoint: str, max_lines: int, max_line_bytes: int, has_model: Callable[[str], bool] = bool
    ) -> None:
        self._endpoint = endpoint
        self._max_lines = max_lines
        self._max_line_bytes = max_line_bytes
        self._has_model = has_model
        self._rest = b""
        self._offset = 0
        self._line = 0
        self._bounds: list[int] = []
        self._custom_ids: dict[bytes, int] = {}
        self.faults: list[Fault] = []
        self.num_lines = 0

    @property
    def is_hopeless(self) -> bool:
        """Nothing more needs to be fed."""
        return len(self.faults) >= _MAX_FAULTS or self.num_lines > self._max_lines

    def feed(self, part: bytes) -> None:
        *lines, self._rest = (self._rest + part).split(b"\n")
        for text in lines:
            self._take(text, len(text) + 1)
        if len(self._rest) > self._max_line_bytes:
            self._fault("line_too_large", f"A line may have {self._max_line_bytes} bytes.", line=self._line + 1)
            self.num_lines = self._max_lines + 1

    def finish(self, at: int) -> Reading:
        """`at` is the Unix time that the reading is to have."""
        if self._rest:
            self._take(self._rest, len(self._rest))
        if self.num_lines > self._max_lines and not self.faults:
            self._fault("too_many_lines", f"The file has more than {self._max_lines} requests.")
        if self.num_lines == 0 and not self.faults:
            self._fault("empty_file", "The file has no request.", param="input_file_id")
        return Reading(at, self.num_lines, LINES_PER_CHUNK, [*self._bounds, self._offset], self.faults)

    def _take(self, text: bytes, num_bytes: int) -> None:
        start, self._offset, self._line = self._offset, self._offset + num_bytes, self._line + 1
        if self.is_hopeless or not text.strip():
            return
        if self.num_lines % LINES_PER_CHUNK == 0:
            self._bounds.append(start)
        self.num_lines += 1
        try:
            self._check(text)
        except BadLine as bad:
            self._fault(bad.code, bad.message, line=self._line, param=bad.param)

    def _check(self, text: bytes) -> None:
        custom_id, model, _ = parse_line(text, self._endpoint)
        digest = hashlib.blake2b(custom_id.encode(errors="surrogatepass"), digest_size=16).digest()
        first = self._custom_ids.setdefault(digest, self._line)
        if first != self._line:
            raise BadLine("duplicate_custom_id", f"Line {first} has the same one.", "custom_id")
        if not self._has_model(model):
            raise BadLine("model_not_found", f"The model {model[:200]!r} does not exist.", "body.model")

    def _fault(self, code: str, message: str, line: int | None = None, param: str | None = None) -> None:
        self.faults.append(Fault(code, message, line, param))


def lines_of_chunk(content: bytes, chunk: int, endpoint: str, lines_per_chunk: int) -> Iterator[Line]:
    """The requests of a chunk of a file that was found to have no fault."""
    number = chunk * lines_per_chunk
    for text in content.split(b"\n"):
        if text.strip():
            yield Line(number, *parse_line(text, endpoint))
            number += 1


def is_endpoint(path: str) -> bool:
    """Whether batches may have it: every route that engines answer."""
    return path in ROUTES
