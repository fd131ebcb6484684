"""Simulated engines in processes of their own, which a test may stop and let go on."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from door import free_port
from polling import eventually

from configs.engine import ModelArgs
from deployments.engines import create_engine
from deployments.engines.contract import EngineAddress
from router.replicas.registry import Figures, Replica

_SECRET = "secret-of-processes"


@dataclass(frozen=True, slots=True)
class EngineProcess:
    """One engine, as the router's directory holds it."""

    process: "subprocess.Popen[bytes]"
    replica: Replica

    async def ready(self) -> None:
        """Wait until it takes connections."""
        await eventually(self._takes_connections)

    def _takes_connections(self) -> bool:
        assert self.process.poll() is None
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.replica.port)) == 0

    async def stand_still(self) -> None:
        """Stop it, and wait until the kernel has."""
        self.process.send_signal(signal.SIGSTOP)
        await eventually(lambda: _state_of(self.process.pid) == "T")

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def figures(self, number: int) -> Figures:
        """What it says of itself now, as the replica's `number`th word."""
        url = f"http://127.0.0.1:{self.replica.port}/metrics"
        headers = {"authorization": f"Bearer {_SECRET}"}
        async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as answer:
            load = create_engine(_ARGS).load(await answer.text())
        return Figures(number, load.num_running, load.num_waiting, load.kv_cache_usage_ratio)


_ARGS = ModelArgs.model_validate({"engine": "simulated", "model": "m", "prefill_base_ms": 0, "inter_token_ms": 1}).root


def _state_of(pid: int) -> str:
    """`T` of a process that stands still."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


@contextmanager
def running_engines(*replica_ids: str) -> Iterator[tuple[EngineProcess, ...]]:
    """Started, and perhaps not ready yet. Ended with the block, stopped or not."""
    with ExitStack() as stack:
        yield tuple(stack.enter_context(_running(one)) for one in replica_ids)


@contextmanager
def _running(replica_id: str) -> Iterator[EngineProcess]:
    port = free_port()
    command = create_engine(_ARGS).command(EngineAddress("127.0.0.1", port, _SECRET))
    assert command is not None
    replica = Replica(replica_id, "m", "127.0.0.1", port, _SECRET, "simulated", "vllm")
    with subprocess.Popen(command.argv, env={**os.environ, **command.environment}) as process:
        try:
            yield EngineProcess(process, replica)
        finally:
            process.kill()
