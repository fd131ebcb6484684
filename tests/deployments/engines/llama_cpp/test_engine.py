"""The llama.cpp engine with the real llama.cpp and its default weights."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from configs.engine import LlamaCppSettings
from deployments.engines.errors import EngineStartError
from deployments.engines.runtime import EngineRuntime

pytest.importorskip("xllamacpp")

StartEngine = Callable[..., Awaitable[EngineRuntime]]
Connect = Callable[[EngineRuntime], Awaitable[aiohttp.ClientSession]]

SETTINGS = LlamaCppSettings(
    engine="llama_cpp", model="smol", max_model_len=256, max_num_seqs=3, num_threads=1, start_timeout_s=120
)
"""One thread: several wait for each other at every step, and so for whatever else the machine does."""


async def test_each_slot_has_the_whole_context(start_engine: StartEngine, connect: Connect) -> None:
    """Every slot has `max_model_len` tokens, not a share of them."""
    session = await connect(await start_engine(SETTINGS))
    async with session.get("/slots") as response:
        slots = await response.json()

    assert [256, 256, 256] == [slot["n_ctx"] for slot in slots]


async def test_an_answer_ends_at_the_context(start_engine: StartEngine, connect: Connect) -> None:
    """An answer that would not end stops when the context is full, and forgets nothing of the prompt."""
    session = await connect(await start_engine(SETTINGS))
    body = {"model": "smol", "prompt": "Once upon a time", "max_tokens": 5000, "ignore_eos": True}
    async with session.post("/v1/completions", json=body) as response:
        answer = await response.json()

    assert ("length", 256) == (answer["choices"][0]["finish_reason"], answer["usage"]["total_tokens"])


async def test_a_prompt_over_the_context_is_refused(start_engine: StartEngine, connect: Connect) -> None:
    """A prompt that does not fit is 400 and names the context."""
    session = await connect(await start_engine(SETTINGS))
    async with session.post("/v1/completions", json={"model": "smol", "prompt": "word " * 400}) as response:
        error = (await response.json())["error"]

    assert (400, "exceed_context_size_error", 256) == (response.status, error["type"], error["n_ctx"])


async def test_health_is_answered_beside_many_idle_connections(start_engine: StartEngine) -> None:
    """Each open connection holds a thread of llama.cpp's server, but idle ones lock nobody out."""
    runtime = await start_engine(SETTINGS)
    request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    idle = [await asyncio.open_connection("127.0.0.1", runtime.address.port) for _ in range(100)]
    for reader, writer in idle:
        writer.write(request)
        await reader.readuntil(b"}")
    await runtime.check()
    load = await runtime.load()
    for _, writer in idle:
        writer.close()

    assert load.is_idle


@pytest.mark.parametrize(("content", "words"), [(None, "there is no such file"), (b"garbage", "it is not a GGUF file")])
async def test_unusable_weights_fail_the_start_in_one_line(
    start_engine: StartEngine, tmp_path: Path, content: bytes | None, words: str
) -> None:
    """Missing and broken weights fail the start with one line that says so."""
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    settings = SETTINGS.model_copy(update={"model_source": str(path)})

    with pytest.raises(
        EngineStartError, match=rf"exited with code 1: .*{words}; its last lines:\n  llama.cpp cannot start: .*{words}$"
    ):
        await start_engine(settings)


async def test_an_interpreter_without_xllamacpp_is_named(start_engine: StartEngine, tmp_path: Path) -> None:
    """An environment that lacks the engine fails the start with its interpreter."""
    bare = await asyncio.create_subprocess_exec("python3", "-m", "venv", "--without-pip", str(tmp_path))
    assert 0 == await bare.wait()
    interpreter = str(tmp_path / "bin" / "python")
    weights = tmp_path / "model.gguf"
    weights.write_bytes(b"GGUF" + bytes(20))
    settings = SETTINGS.model_copy(update={"interpreter": interpreter, "model_source": str(weights)})

    with pytest.raises(EngineStartError, match=f"xllamacpp is not installed for {interpreter}"):
        await start_engine(settings)
