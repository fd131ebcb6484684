"""Failures that the simulated engine commits on command, seen through plain sockets."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import orjson
import pytest

from configs.engine import SimulatedSettings
from deployments.engines.errors import EngineDied
from deployments.engines.runtime import NUM_HEALTH_FAILURES, EngineRuntime

StartEngine = Callable[..., Awaitable[EngineRuntime]]

CHAT = {"model": "sim", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
async def runtime(start_engine: StartEngine, simulated_settings: SimulatedSettings) -> EngineRuntime:
    return await start_engine(simulated_settings)


async def failing(runtime: EngineRuntime, *, is_stream: bool, **simulated: object) -> tuple[bytes, str]:
    """Every byte that arrived of an answer that fails, and how the connection ended."""
    body = orjson.dumps({**CHAT, "stream": is_stream, "max_tokens": 9, "simulated": simulated})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer {runtime.address.secret}\r\n"
    request = f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    return await asyncio.to_thread(exchange, runtime.address.port, request)


def exchange(port: int, request: bytes) -> tuple[bytes, str]:
    # HTTP clients and asyncio's streams drop what they hold when a reset comes; a plain socket does not.
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            return received, "reset"
    return received, "closed"


async def test_cut_resets_after_so_many_tokens(runtime: EngineRuntime) -> None:
    """`cut_after_tokens` delivers these tokens and then resets the connection."""
    received, end = await failing(runtime, is_stream=True, cut_after_tokens=3)

    assert (4, "reset") == (received.count(b"data: "), end)


async def test_cut_of_a_whole_answer_resets(runtime: EngineRuntime) -> None:
    """An answer that is not streamed is reset before its first byte."""
    assert (b"", "reset") == await failing(runtime, is_stream=False, cut_after_tokens=3)


async def test_cut_before_the_first_token_leaves_only_the_head(runtime: EngineRuntime) -> None:
    """A stream's head is sent before there is a token, as vLLM does, so a failing prefill is seen after it."""
    received, end = await failing(runtime, is_stream=True, cut_after_tokens=0)

    assert (b"HTTP/1.1 200 OK", True, "reset") == (received[:15], received.endswith(b"\r\n\r\n"), end)


async def test_half_event_breaks_off_within_an_event(runtime: EngineRuntime) -> None:
    """`half_event_after_tokens` ends the connection in the middle of an event."""
    received, end = await failing(runtime, is_stream=True, half_event_after_tokens=2)

    assert (4, b'{"index":0\r\n', "closed") == (received.count(b"data: "), received[-12:], end)


async def test_half_of_a_whole_answer_breaks_off(runtime: EngineRuntime) -> None:
    """An answer that is not streamed breaks off within its body."""
    received, end = await failing(runtime, is_stream=False, half_event_after_tokens=2)
    head, _, body = received.partition(b"\r\n\r\n")
    promised = int(head.rpartition(b"content-length: ")[2])

    assert (True, "closed") == (0 < len(body) < promised, end)


async def test_refuse_closes_without_a_byte(runtime: EngineRuntime) -> None:
    """`refuse` closes the connection before any byte of an answer."""
    assert (b"", "closed") == await failing(runtime, is_stream=True, refuse=True)


async def test_exit_ends_the_process(runtime: EngineRuntime) -> None:
    """`exit_after_tokens` ends the whole engine, with code 70, after these tokens."""
    received, _ = await failing(runtime, is_stream=True, exit_after_tokens=1)
    async with asyncio.timeout(60):
        message = await runtime.died()

    assert (2, True) == (received.count(b"data: "), "exited with code 70" in message)


async def test_a_dead_engine_fails_whatever_runs_and_comes(runtime: EngineRuntime) -> None:
    """`dead_after_tokens` is vLLM's end: the server still answers, with 500, and says that it is not healthy."""
    running = asyncio.create_task(failing(runtime, is_stream=True, inter_token_ms=60_000))
    while not (await runtime.load()).num_running:
        pass
    whole, _ = await failing(runtime, is_stream=False, dead_after_tokens=1)
    broken, _ = await running
    late, _ = await failing(runtime, is_stream=False)

    words = b'{"error":{"message":"EngineCore encountered an issue.'
    assert [True] * 3 == [words in answer for answer in (whole, broken, late)]
    assert (True, True) == (whole.startswith(b"HTTP/1.1 500"), b"data: [DONE]" in broken)
    assert (0, 0) == ((await runtime.load()).num_running, (await runtime.load()).num_waiting)
    for _ in range(NUM_HEALTH_FAILURES - 1):
        await runtime.check()
    with pytest.raises(EngineDied):
        await runtime.check()


async def test_error_is_an_event_and_then_the_end_mark(runtime: EngineRuntime) -> None:
    """`error_after_tokens` ends a stream as vLLM does: an error event, then `[DONE]`."""
    received, _ = await failing(runtime, is_stream=True, error_after_tokens=2)
    events = [line.removeprefix(b"data: ") for line in received.splitlines() if line.startswith(b"data: ")]

    assert (5, 500, b"[DONE]") == (len(events), orjson.loads(events[-2])["error"]["code"], events[-1])


async def test_error_of_a_whole_answer_is_a_500(runtime: EngineRuntime) -> None:
    """An answer that is not streamed fails with status 500."""
    received, _ = await failing(runtime, is_stream=False, error_after_tokens=2)
    head, _, body = received.partition(b"\r\n\r\n")

    assert (b"HTTP/1.1 500", "InternalServerError") == (head[:12], orjson.loads(body)["error"]["type"])
