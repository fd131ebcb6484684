"""The client, against a real server on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bench.load import Load
from bench.scenarios import BY_NAME

ONE_SHOT = BY_NAME["one-shot"]


def http(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def completion(num_tokens: int) -> bytes:
    body = {"choices": [{"message": {"content": "a"}}], "usage": {"completion_tokens": num_tokens}}
    return http("200 OK", json.dumps(body).encode())


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """A server that gives the same answer to everything. The value is its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client is gone
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the load has no event for it, and needs none
            await asyncio.sleep(0.01)


async def test_right_answers_are_counted_with_their_tokens() -> None:
    """A client asks again and again on its connection."""
    async with answering(completion(16)) as port:
        load = Load(ONE_SHOT, "127.0.0.1", [port], "key")
        load.start(0.0)
        await until(lambda: load.marked.num_requests >= 2)
        await load.stop()
    counted = (load.marked.num_tokens, len(load.marked.ttft_ms), load.marked.errors)
    assert (16 * load.marked.num_requests, load.marked.num_requests, {}) == counted


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (completion(3), "3 tokens instead of 16"),
        (http("503 Unavailable", b"{}"), "status 503"),
        (b"nonsense\r\n\r\n", "broken HTTP: Expected HTTP/, RTSP/ or ICE/"),
    ],
)
async def test_wrong_answers_are_counted_by_reason(answer: bytes, reason: str) -> None:
    """They are errors, never requests."""
    async with answering(answer) as port:
        load = Load(ONE_SHOT, "127.0.0.1", [port], "key")
        load.start(0.0)
        await until(lambda: load.marked.errors)
        await load.stop()
    assert ([reason], 0) == (list(load.marked.errors), load.marked.num_requests)


async def test_a_server_that_is_not_there_is_an_error() -> None:
    """And the client tries again."""
    async with answering(b"") as port:
        pass
    load = Load(ONE_SHOT, "127.0.0.1", [port], "key")
    load.start(0.0)
    await until(lambda: sum(load.marked.errors.values()) >= 2)
    await load.stop()
    assert len(load.marked.errors) == 1
