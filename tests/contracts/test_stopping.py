"""
How every engine ends. Each test costs an engine; this module's name is the last, so that the others have shared the
first one by then.
"""

import asyncio
import os
import signal

import aiohttp
import pytest
from contract_engines import ContractEngine

from deployments.engines.runtime import EngineRuntime

LONG: dict[str, object] = {
    "model": "m", "prompt": "Once upon a time", "max_tokens": 400, "ignore_eos": True, "stream": True
}  # fmt: skip

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_stop_ends_a_busy_engine(doomed: EngineRuntime) -> None:
    """A stop does not wait for what runs: draining is done before."""
    headers = {"Authorization": f"Bearer {doomed.address.secret}"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{doomed.address.port}", headers=headers) as session:
        response = await session.post("/v1/completions", json=LONG)
        await response.content.readuntil(b"\n\n")
        async with asyncio.timeout(150):
            await doomed.stop(grace_s=600)
        response.close()

    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", doomed.address.port)


async def test_a_killed_engine_is_noticed(kind: ContractEngine, doomed: EngineRuntime) -> None:
    """SIGKILL of the engine's process is told by name."""
    if not kind.is_child:
        pytest.skip("nothing of ours can be killed")
    os.kill(doomed.pid or 0, signal.SIGKILL)
    async with asyncio.timeout(150):
        message = await doomed.died()

    assert message.startswith("m was killed by SIGKILL")
