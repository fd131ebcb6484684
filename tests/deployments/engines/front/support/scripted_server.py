"""A server whose every byte is scripted."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Reply:
    """Bytes, and what becomes of the connection behind them: it stays, is closed, or nothing more comes on it."""

    data: bytes
    then: Literal["stay", "close", "hang"] = "stay"


def document(body: Any, status: int = 200, *, headers: str = "") -> Reply:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{headers}content-length: {len(text)}\r\n\r\n"
    return Reply(head.encode() + text)


def stream(*payloads: Any, then: Literal["stay", "close", "hang"] = "stay") -> Reply:
    """A stream of events; without `then` it is ended as it should be, but for an end mark, which is a payload, too."""
    texts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in payloads]
    events = [b"data: " + text + b"\n\n" for text in texts]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return Reply(head + chunks + (b"0\r\n\r\n" if then == "stay" else b""), then)


def chunk(text: str, **more: Any) -> dict[str, Any]:
    """A chunk of a streamed completion of the model `theirs`."""
    return {"id": "1", "model": "theirs", "choices": [{"index": 0, "text": text}], **more}


class ScriptedServer:
    """Answers each request with the next reply of the script; the questions for its models are not scripted."""

    def __init__(self) -> None:
        self.script: deque[Reply] = deque()
        self.requests: list[tuple[str, Any]] = []
        """Paths and bodies: what JSON is, else bytes."""
        self.authorizations: list[str] = []
        self.num_connections = 0
        self.num_lost_clients = 0
        self.models = document({"object": "list", "data": [{"id": "theirs", "max_model_len": 4096}, {"id": "other"}]})
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        self.authorizations.append(fields.get("authorization", ""))
        if head.startswith("GET "):
            writer.write(self.models.data)
            return True
        data = await reader.readexactly(int(fields["content-length"]))
        is_json = fields["content-type"] == "application/json"
        self.requests.append((head.split()[1], json.loads(data) if is_json else data))
        reply = self.script.popleft()
        writer.write(reply.data)
        await writer.drain()
        if reply.then == "hang":
            await reader.read()
            self.num_lost_clients += 1
        return reply.then == "stay"
