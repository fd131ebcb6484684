"""A client that reads only when it is told to, and sees an answer exactly as it was on the wire."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Self

import orjson

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_READ_BYTES = 65_536
_DEADLINE_S = 60.0
"""Longest wait for one read, which only a broken program reaches."""


@dataclass(frozen=True, slots=True)
class ClientAnswer:
    """
    One answer. `headers` have lower-case names.

    `is_whole` says that the body ended where its length, or its last chunk, said so, and not with the connection.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool

    @property
    def error(self) -> dict[str, object]:
        """The fields of the error envelope."""
        fields: dict[str, object] = orjson.loads(self.body)["error"]
        return fields

    @property
    def error_event(self) -> dict[str, object]:
        """The fields of the error event that a broken stream ends with."""
        last = self.body.removesuffix(b"\n\n").rpartition(b"\n\n")[2]
        fields: dict[str, object] = orjson.loads(last.removeprefix(b"data: "))["error"]
        return fields


class RawClient:
    """One connection to the router. A context manager: leaving it closes the connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._buffer = b""

    @classmethod
    async def connect(cls, port: int, receive_buffer_bytes: int | None = None) -> Self:
        sock = socket.socket()
        if receive_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        sock.settimeout(0)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        return cls(sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def leave(self, *, with_reset: bool = False) -> None:
        """Close the connection at once."""
        if with_reset:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._sock.close()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def post(
        self, body: object, path: str = "/v1/chat/completions", headers: dict[str, str] | None = None
    ) -> None:
        """Send a request. A body that is not bytes goes as JSON."""
        await self.send(request("POST", path, headers, body if isinstance(body, bytes) else orjson.dumps(body)))

    async def answer(self, *, to_head: bool = False) -> ClientAnswer:
        """The next answer, interim ones left out; read to its end."""
        status, headers = await self._head()
        while status < 200:
            status, headers = await self._head()
        if to_head or status in (204, 304):
            return ClientAnswer(status, headers, b"", is_whole=True)
        if headers.get("transfer-encoding") == "chunked":
            return await self._chunked(status, headers)
        length = int(headers["content-length"])
        while len(self._buffer) < length and await self._read():
            pass
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return ClientAnswer(status, headers, body, is_whole=len(body) == length)

    async def until(self, mark: bytes) -> bytes:
        """Read up to and with `mark`; raw bytes, chunk sizes and all."""
        while mark not in self._buffer:
            assert await self._read(), f"the connection ended before {mark!r}: {self._buffer!r}"
        end = self._buffer.index(mark) + len(mark)
        data, self._buffer = self._buffer[:end], self._buffer[end:]
        return data

    async def ended(self) -> bytes:
        """What still comes until the router closes or resets the connection."""
        while await self._read():
            pass
        return self._buffer

    async def _head(self) -> tuple[int, dict[str, str]]:
        status_line, *lines = (await self.until(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return int(status_line.split(" ")[1]), headers

    async def _chunked(self, status: int, headers: dict[str, str]) -> ClientAnswer:
        chunks: list[bytes] = []
        while True:
            while b"\r\n" not in self._buffer:
                if not await self._read():
                    return ClientAnswer(status, headers, b"".join(chunks), is_whole=False)
            size_line, _, self._buffer = self._buffer.partition(b"\r\n")
            size = int(size_line, 16)
            while len(self._buffer) < size + 2:
                if not await self._read():
                    return ClientAnswer(status, headers, b"".join([*chunks, self._buffer]), is_whole=False)
            chunks.append(self._buffer[:size])
            self._buffer = self._buffer[size + 2 :]
            if size == 0:
                return ClientAnswer(status, headers, b"".join(chunks), is_whole=True)

    async def _read(self) -> bool:
        try:
            async with asyncio.timeout(_DEADLINE_S):
                data = await self._loop.sock_recv(self._sock, _READ_BYTES)
        except ConnectionError:
            data = b""
        self._buffer += data
        return bool(data)


def request(method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """The bytes of one request."""
    fields = {"host": "router", "content-type": "application/json", "content-length": str(len(body))} | (headers or {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body
