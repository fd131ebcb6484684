"""The simulated engine's models that hear and speak, each a process of its own."""

from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from configs.engine import SimulatedSettings
from deployments.engines.runtime import EngineRuntime
from deployments.engines.short_recording import form_of, silence

StartEngine = Callable[..., Awaitable[EngineRuntime]]


async def post(runtime: EngineRuntime, path: str, data: bytes, content_type: str) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {runtime.address.secret}", "Content-Type": content_type}
    url = f"http://{runtime.address.host}:{runtime.address.port}{path}"
    async with aiohttp.ClientSession() as session, session.post(url, data=data, headers=headers) as response:
        return response.status, await response.read()


@pytest.mark.parametrize("task", ["transcribe", "speak"])
async def test_it_answers_its_first_request(task: str, start_engine: StartEngine) -> None:
    """So it starts, and counts what it was asked; chats are another model's."""
    runtime = await start_engine(SimulatedSettings.model_validate({"engine": "simulated", "model": "m", "task": task}))
    load = await runtime.load()
    chat = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
    status, _ = await post(runtime, "/v1/chat/completions", chat, "application/json")
    assert load.num_prompt_tokens
    assert 404 == status


async def test_a_recording_that_is_too_long(start_engine: StartEngine) -> None:
    """Does not fit the context: 20 ms are a token."""
    settings = SimulatedSettings(engine="simulated", model="m", task="transcribe", max_model_len=100)
    runtime = await start_engine(settings)
    data, content_type = form_of({"model": "m"}, silence(3))
    status, body = await post(runtime, "/v1/audio/transcriptions", data, content_type)
    assert 400 == status
    assert b"maximum context length" in body
