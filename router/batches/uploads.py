"""A multipart upload, taken apart as it comes: small fields are kept, the file is passed on."""

from collections.abc import AsyncIterator

from router.errors import ClientDisconnected, InvalidRequest, RequestTimeout, RequestTooLarge
from router.http.asgi import Receive, Scope, header
from router.http.driving import within
from router.http.multipart import FormReader, boundary_of

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
        self._value = bytearray()
        self._parts: list[bytes] = []
        wanted = "A file is uploaded as multipart/form-data, with the parts `purpose` and `file`."
        self._form = FormReader(boundary_of(header(scope, b"content-type"), wanted), self)

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
            self._form.feed(bytes(message.get("body", b"")))
            for part in self._parts:
                yield part
            self._parts.clear()
        self._form.close()
        if self.filename is None:
            raise InvalidRequest("The upload has no part `file` with a file name.", param="file")

    # what the form's reader says

    def part_begins(self, name: str, filename: str | None) -> None:
        self._name, self._value = name, bytearray()
        self._is_file = name == "file"
        if self._is_file:
            if self.filename is not None:
                raise InvalidRequest("The upload has more than one part `file`.", param="file")
            self.filename = (filename or "")[:255] or "upload.jsonl"
        elif len(self.fields) >= _MAX_FIELDS:
            raise InvalidRequest(f"The upload has more than {_MAX_FIELDS} fields.")

    def part_data(self, data: bytes, start: int, end: int) -> None:
        if not self._is_file:
            self._value += data[start:end]
            if len(self._value) > _MAX_FIELD_BYTES:
                raise InvalidRequest(f"A field has more than {_MAX_FIELD_BYTES} bytes.", param=self._name[:100])
            return
        self.num_bytes += end - start
        if self.num_bytes > self._max_bytes:
            raise RequestTooLarge(f"A file may have {self._max_bytes} bytes.", param="file")
        self._parts.append(data[start:end])

    def part_ends(self) -> None:
        if not self._is_file:
            self.fields[self._name] = self._value.decode(errors="replace")
