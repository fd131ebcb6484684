"""HTTP as bytes: requests that no client library would send, and answers as they are on the wire."""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

TIMEOUT_S = 120.0
CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One answer. `headers` have lower-case names. `is_whole` says that its body had the length that it announced."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_whole: bool = True

    @property
    def error(self) -> dict[str, object]:
        """The fields of the error envelope, which has to be all that there is."""
        document = json.loads(self.body)
        assert list(document) == ["error"]
        fields: dict[str, object] = document["error"]
        assert set(fields) == {"message", "type", "param", "code"}
        return fields


def request(method: str, path: str, body: bytes = b"", /, **headers: str) -> bytes:
    """A request's bytes. Headers are named with `_` for `-`; `content_length` only stands where it is given."""
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n"
    head += "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"{head}\r\n".encode("latin-1") + body


def post(document: object, path: str = CHAT, **headers: str) -> bytes:
    """A POST of JSON; bytes are sent as they are."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return request("POST", path, body, **{"content_type": "application/json"} | headers, content_length=str(len(body)))


def chunked(body: bytes, num_chunk_bytes: int) -> bytes:
    """A body in chunks."""
    parts = (body[start : start + num_chunk_bytes] for start in range(0, len(body), num_chunk_bytes))
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@contextmanager
def connection(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as client:
        yield client


def ask(port: int, data: bytes) -> RawAnswer:
    """The answer to one request on a connection of its own."""
    with connection(port) as client:
        client.sendall(data)
        return answers(client)[0]


def answers(client: socket.socket, num_answers: int = 1) -> list[RawAnswer]:
    """The next answers on a connection, interim ones included; fewer where it ends before."""
    found: list[RawAnswer] = []
    with client.makefile("rb") as stream:
        while len(found) < num_answers and (answer := _read_answer(stream)) is not None:
            found.append(answer)
    return found


def is_closed(client: socket.socket) -> bool:
    """Whether the other side ends the connection without another byte. Waits for it."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def _read_answer(stream: BinaryIO) -> RawAnswer | None:
    status_line = stream.readline()
    if not status_line:
        return None
    headers = {}
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    status = int(status_line.split()[1])
    if status < 200:
        return RawAnswer(status, headers, b"")
    if "chunked" in headers.get("transfer-encoding", ""):
        return RawAnswer(status, headers, *_read_chunks(stream))
    length = int(headers["content-length"]) if "content-length" in headers else None
    body = stream.read() if length is None else stream.read(length)
    return RawAnswer(status, headers, body, length is None or len(body) == length)


def _read_chunks(stream: BinaryIO) -> tuple[bytes, bool]:
    body = b""
    while (line := stream.readline().strip()) not in (b"", b"0"):
        body += stream.read(int(line, 16))
        stream.readline()
    return body, line == b"0" and stream.readline() == b"\r\n"
