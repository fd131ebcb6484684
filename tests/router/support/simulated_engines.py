"""Simulated engines with their KV-cache model, on the test's own event loop: real sockets, no processes, no pauses."""

import asyncio
from dataclasses import dataclass

from configs.engine import Task
from deployments.engines.simulated.gpu import SimulatedGpu
from deployments.engines.simulated.http import Connection, House
from deployments.engines.simulated.scheduler import Pace, Scheduler
from router.replicas.registry import Replica

SECRET = "secret-of-engines"


@dataclass(slots=True)
class SimulatedEngine:
    """One engine. `scheduler` counts what it was asked."""

    scheduler: Scheduler
    port: int
    task: Task
    _server: asyncio.Server

    @classmethod
    async def start(cls, *, prefill_base_ms: float = 0.0, task: Task = "generate") -> "SimulatedEngine":
        pace = Pace(
            max_num_seqs=256,
            prefill_base_ms=prefill_base_ms,
            prefill_tokens_per_s=1e12,
            inter_token_ms=0.0,
            kv_cache_tokens=1_000_000,
            kv_block_tokens=16,
        )
        scheduler = Scheduler(pace)
        gpu = SimulatedGpu(None, "m", wake_delay_s=0.0)
        gpu.take()
        house = House("m", 100_000, f"Bearer {SECRET}".encode(), scheduler, gpu, task=task)
        server = await asyncio.get_running_loop().create_server(lambda: Connection(house), "127.0.0.1", 0)
        return cls(scheduler, server.sockets[0].getsockname()[1], task, server)

    async def stop(self) -> None:
        self._server.close()
        await asyncio.sleep(0)

    def replica(self, replica_id: str) -> Replica:
        return Replica(
            replica_id, "m", "127.0.0.1", self.port, SECRET, "simulated", "vllm", max_model_len=100_000, task=self.task
        )
