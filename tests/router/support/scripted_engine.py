"""An engine that answers by script: a real HTTP/1.1 server, whose every byte, pause and ending a test decides."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias, cast

import orjson

from configs.engine import Task
from router.replicas.registry import Replica

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with a linger time of 0
_NO_SCRIPT = b"HTTP/1.1 418 No Script\r\ncontent-length: 0\r\n\r\n"


class Ending(Enum):
    """What an engine may do to a connection instead of going on."""

    CLOSE = auto()
    RESET = auto()


Step: TypeAlias = bytes | asyncio.Event | Ending
"""Bytes are written, an event is waited for."""
Script: TypeAlias = Sequence[Step]


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """One request as the engine got it. `headers` have lower-case names."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, object]:
        parsed: dict[str, object] = orjson.loads(self.body)
        return parsed


class EngineConnection(asyncio.Protocol):
    """One connection of the router to the engine. `num_bytes_sent` is what the kernel has taken."""

    def __init__(self, engine: "ScriptedEngine") -> None:
        self._engine = engine
        self._buffer = bytearray()
        self._transport = cast("asyncio.Transport", None)
        self._playing: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._num_bytes_written = 0
        self.is_closed = False

    @property
    def num_bytes_sent(self) -> int:
        return self._num_bytes_written - self._transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)
        self._engine.connections.append(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._serve()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's words
        self.is_closed = True
        self._writable.set()
        if self._playing is not None:
            self._playing.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def end(self, ending: Ending) -> None:
        """Close, or reset, from the engine's side."""
        if ending is Ending.CLOSE:
            self._transport.close()
            return
        connected: socket.socket = self._transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def _serve(self) -> None:
        if self._playing is not None:
            return
        request = _take_request(self._buffer)
        if request is not None:
            self._engine.requests.append(request)
            script = self._engine.next_script(request.path)
            self._playing = asyncio.get_running_loop().create_task(self._play(script))

    async def _play(self, script: Script) -> None:
        for step in script:
            if isinstance(step, bytes):
                self._transport.write(step)
                self._num_bytes_written += len(step)
                await self._writable.wait()
            elif isinstance(step, asyncio.Event):
                await step.wait()
            else:
                self.end(step)
        self._playing = None
        self._serve()


class ScriptedEngine:
    """
    Listens on a free port of loopback; answers each request with the next script, or `otherwise`.

    Scripts for one path go before those for any path.
    """

    def __init__(self) -> None:
        self.requests: list[EngineRequest] = []
        self.connections: list[EngineConnection] = []
        self.otherwise: Script = (_NO_SCRIPT, Ending.CLOSE)
        self._scripts: dict[str, deque[Script]] = {}
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: EngineConnection(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and reset what is connected: what a killed engine looks like."""
        if self._server is not None:
            self._server.close()
        for connection in self.connections:
            if not connection.is_closed:
                connection.end(Ending.RESET)
        await asyncio.sleep(0)

    def script(self, *steps: Step, path: str = "") -> None:
        """What to answer to the next request that has no script yet."""
        self._scripts.setdefault(path, deque()).append(steps)

    def next_script(self, path: str) -> Script:
        for scripts in (self._scripts.get(path), self._scripts.get("")):
            if scripts:
                return scripts.popleft()
        return self.otherwise

    @property
    def num_open(self) -> int:
        return sum(not connection.is_closed for connection in self.connections)

    def replica(
        self,
        replica_id: str,
        profile: str = "llama_cpp",
        max_model_len: int | None = None,
        task: Task = "generate",
    ) -> Replica:
        """The engine as the router's directory would hold it."""
        return Replica(
            replica_id=replica_id,
            model="m",
            host="127.0.0.1",
            port=self.port,
            secret=f"secret-of-{replica_id}",
            engine=profile,
            profile=profile,
            max_model_len=max_model_len,
            task=task,
        )


def _take_request(buffer: bytearray) -> EngineRequest | None:
    """Cut the first whole request off `buffer`, or leave it alone."""
    head, separator, rest = bytes(buffer).partition(b"\r\n\r\n")
    if not separator:
        return None
    request_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    if len(rest) < length:
        return None
    del buffer[: len(head) + len(separator) + length]
    return EngineRequest(request_line.split(" ")[1], headers, rest[:length])
