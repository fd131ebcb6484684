"""A multipart upload, taken apart as it comes: small fields are kept, the file is passed on."""

from collections.abc import AsyncIterator

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from router.errors import ClientDisconnected, InvalidRequest, RequestTimeout, RequestTooLarge
from router.http.asgi import Receive, Scope, header
from router.http.driving import within

_MAX_FIELD_BYTES = 4096
_MAX_FIELDS = 16


class Upload:
    """
    One upload. `fields` and `filename` are complete once `parts` has ended.

    Holds what one read of the client's socket brings, never the file.
    """

    def __init__(self, scope: Scope, receive: Receive, max_bytes: int, stall_timeout_s: float) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._stall_timeout_s = stall_timeout_s
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self.num_bytes = 0
        self._name = ""
        self._is_file = False
        self._is_whole = False
        self._header = ""
        self._value = bytearray()
        self._disposition = ""
        self._parts: list[bytes] = []
        self._parser = self._parser_for(scope)

    async def parts(self) -> AsyncIterator[bytes]:
        """
        The content of the part `file`.

        Raises:
            InvalidRequest: the body is no such upload.
            RequestTooLarge: the file has more than `max_bytes`.
            RequestTimeout: the client sent nothing for `stall_timeout_s`.
            ClientDisconnected: the client left.
        """
        has_more = True
        while has_more:
            try:
                message = await within(self._receive(), self._stall_timeout_s)
            except TimeoutError:
                raise RequestTimeout(f"No more of the file arrived within {self._stall_timeout_s:g} s.") from None
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            has_more = bool(message.get("more_body"))
            try:
                self._parser.write(bytes(message.get("body", b"")))
            except FormParserError as error:
                raise InvalidRequest(f"The body is not valid multipart/form-data: {error}.") from None
            for part in self._parts:
                yield part
            self._parts.clear()
        if not self._is_whole:
            raise InvalidRequest("The multipart body ends before its last boundary.")
        if self.filename is None:
            raise InvalidRequest("The upload has no part `file` with a file name.", param="file")

    def _parser_for(self, scope: Scope) -> MultipartParser:
        kind, options = parse_options_header(header(scope, b"content-type"))
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise InvalidRequest("A file is uploaded as multipart/form-data, with the parts `purpose` and `file`.")
        try:
            return MultipartParser(
                options[b"boundary"],
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

    # what the parser says

    def _begin(self) -> None:
        self._header, self._disposition, self._value = "", "", bytearray()

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
        self._is_file = self._name == "file"
        if self._is_file:
            if self.filename is not None:
                raise InvalidRequest("The upload has more than one part `file`.", param="file")
            self.filename = options.get(b"filename", b"").decode(errors="replace")[:255] or "upload.jsonl"
        elif len(self.fields) >= _MAX_FIELDS:
            raise InvalidRequest(f"The upload has more than {_MAX_FIELDS} fields.")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            self._value += data[start:end]
            if len(self._value) > _MAX_FIELD_BYTES:
                raise InvalidRequest(f"A field has more than {_MAX_FIELD_BYTES} bytes.", param=self._name[:100])
            return
        self.num_bytes += end - start
        if self.num_bytes > self._max_bytes:
            raise RequestTooLarge(f"A file may have {self._max_bytes} bytes.", param="file")
        self._parts.append(data[start:end])

    def _end(self) -> None:
        if not self._is_file:
            self.fields[self._name] = self._value.decode(errors="replace")

    def _whole(self) -> None:
        self._is_whole = True
