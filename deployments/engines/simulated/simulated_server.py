"""
The process of the simulated engine: run by path, needs uvloop, httptools, orjson and the standard library only.

Its settings come as JSON in ENGINEHOUSE_ENGINE; `SimulatedEngine.command` writes them.
"""

import asyncio
import gc
import json
import os
import sys
from pathlib import Path
from typing import TypedDict

# Last on the path: the interpreter's own packages come first.
sys.path.append(str(Path(__file__).resolve().parents[3]))

import uvloop

from deployments.engines.simulated.gpu import GpuFullError, SimulatedGpu
from deployments.engines.simulated.http import EXIT_ON_COMMAND, SURVIVAL_S, Connection, House
from deployments.engines.simulated.scheduler import Pace, Scheduler

BACKLOG = 4096


class Launch(TypedDict):
    model: str
    max_model_len: int
    max_num_seqs: int
    prefill_base_ms: float
    prefill_tokens_per_s: float
    inter_token_ms: float
    kv_cache_tokens: int
    kv_block_tokens: int
    max_prefills: int | None
    start_delay_s: float
    wake_delay_s: float
    gpu_file: str | None
    takes_turns: bool
    task: str
    host: str
    port: int
    secret: str


async def serve(launch: Launch) -> None:
    """
    Serves until a signal ends the process: SIGTERM does so at once, since nothing here handles it.

    Raises:
        GpuFullError: another engine has the memory of `gpu_file`.
        OSError: the address is taken, or the file cannot be used.
    """
    gpu = SimulatedGpu(launch["gpu_file"], launch["model"], launch["wake_delay_s"])
    gpu.take()
    await asyncio.sleep(launch["start_delay_s"])
    pace = Pace(
        max_num_seqs=launch["max_num_seqs"],
        prefill_base_ms=launch["prefill_base_ms"],
        prefill_tokens_per_s=launch["prefill_tokens_per_s"],
        inter_token_ms=launch["inter_token_ms"],
        kv_cache_tokens=launch["kv_cache_tokens"],
        kv_block_tokens=launch["kv_block_tokens"],
        max_prefills=launch["max_prefills"],
    )
    authorization = f"Bearer {launch['secret']}".encode()
    loop = asyncio.get_running_loop()
    scheduler = Scheduler(pace, lambda: loop.call_later(SURVIVAL_S, os._exit, EXIT_ON_COMMAND))
    takes_turns = launch["takes_turns"]
    house = House(launch["model"], launch["max_model_len"], authorization, scheduler, gpu, takes_turns, launch["task"])
    server = await loop.create_server(lambda: Connection(house), launch["host"], launch["port"], backlog=BACKLOG)
    print(f"the simulated engine serves {launch['model']} at {launch['host']}:{launch['port']}", flush=True)  # noqa: T201  the log
    gc.freeze()  # what exists now stays; no collection needs to look at it
    await server.serve_forever()


def main() -> None:
    launch: Launch = json.loads(os.environ.pop("ENGINEHOUSE_ENGINE"))
    try:
        uvloop.run(serve(launch))
    except (OSError, GpuFullError) as error:
        sys.exit(f"the simulated engine cannot start: {error}")


if __name__ == "__main__":
    main()
