"""The server that is asked, and one question to it."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import aiohttp
import orjson

JsonObject: TypeAlias = dict[str, Any]

CHAT = "/v1/chat/completions"
COMPLETION = "/v1/completions"


class Deviation(Exception):
    """An answer that is not what the API promises. `found` is what came instead, shortened."""

    def __init__(self, expected: str, found: object = "") -> None:
        shown = found if isinstance(found, str) else orjson.dumps(found, default=str).decode()
        self.expected = expected
        self.found = shown if len(shown) <= 300 else f"{shown[:300]}..."
        super().__init__(f"expected {self.expected}" + (f", found {self.found}" if self.found else ""))


def demand(condition: object, expected: str, found: object = "") -> None:
    """
    Raises:
        Deviation: the condition is not true.
    """
    if not condition:
        raise Deviation(expected, found)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, read to its end."""

    status: int
    body: bytes

    @property
    def document(self) -> JsonObject:
        """
        Raises:
            Deviation: the body is no JSON object.
        """
        try:
            document = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise Deviation("a JSON object", self.body.decode(errors="replace")) from None
        demand(isinstance(document, dict), "a JSON object", document)
        return dict(document)


@dataclass(slots=True)
class Subject:
    """A server with one model. `session` has its address and key."""

    session: aiohttp.ClientSession
    model: str

    async def post(self, path: str, body: Mapping[str, object] | bytes) -> Reply:
        data = body if isinstance(body, bytes) else orjson.dumps({"model": self.model, **body})
        stream = io.BytesIO(data)  # aiohttp warns of large bytes
        async with self.session.post(path, data=stream, headers={"Content-Type": "application/json"}) as response:
            return Reply(response.status, await response.read())

    async def ask(self, path: str, **fields: object) -> JsonObject:
        """
        A whole answer with status 200.

        Raises:
            Deviation: another status, or no JSON.
        """
        reply = await self.post(path, fields)
        demand(reply.status == 200, "status 200", f"{reply.status} {reply.body.decode(errors='replace')}")
        return reply.document

    async def chat(self, text: str, **fields: object) -> JsonObject:
        return await self.ask(CHAT, messages=[{"role": "user", "content": text}], **fields)

    async def stream(self, path: str, **fields: object) -> list[JsonObject]:
        """
        The events of a stream that began with status 200 and ended with `[DONE]`.

        Raises:
            Deviation: it did not, or an event is no JSON object.
        """
        reply = await self.post(path, {**fields, "stream": True})
        text = reply.body.decode(errors="replace")
        demand(reply.status == 200, "status 200", f"{reply.status} {text}")
        blocks = [block for block in text.replace("\r\n", "\n").split("\n\n") if block.strip()]
        payloads = [block.removeprefix("data:").strip() for block in blocks if block.startswith("data:")]
        demand(payloads and payloads.pop() == "[DONE]", "a stream that ends with [DONE]", text[-200:])
        events = []
        for payload in payloads:
            events.append(Reply(200, payload.encode()).document)
            demand("error" not in events[-1], "events without an error", payload)
        return events
