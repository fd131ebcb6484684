"""The installed vLLM has the routes by which it is put to sleep."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from house_files import free_port
from vllm_on_cpu import INTERPRETER, SETTINGS
from waiting import wait_for

from deployments.engines.contract import EngineAddress
from deployments.engines.ports import is_port_taken
from deployments.engines.swap.sleeping import put_to_sleep, wake
from deployments.engines.vllm.sleep import vllm_sleep_mode

SERVER = Path(__file__).parents[1] / "engine_support" / "vllm_sleep_server.py"


@contextmanager
def server(told: list[list[object]]) -> Iterator[EngineAddress]:
    """vLLM's routes; at the end `told` is what its engine was told."""
    port = free_port()
    environment = {**os.environ, **SETTINGS["environment"]}  # type: ignore[dict-item]
    command = [str(INTERPRETER), str(SERVER), str(port)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        wait_for("it listens", lambda: is_port_taken("127.0.0.1", port))
        yield EngineAddress("127.0.0.1", port, "s3cret")
        process.kill()
        lines = process.stdout.readlines() if process.stdout is not None else []
    told += [json.loads(line) for line in lines if line.startswith("[")]


WITH_WEIGHTS = [["wake_up", ["weights"]], ["collective_rpc", "reload_weights"], ["wake_up", ["kv_cache"]]]


async def test_it_sleeps_and_wakes() -> None:
    """At either level, by its own routes."""
    told: list[list[object]] = []
    with server(told) as address:
        for level in (1, 2):
            mode = vllm_sleep_mode(address, level)
            await put_to_sleep(mode, timeout_s=150)
            await wake(mode, timeout_s=150)
    assert [["sleep", 1], ["wake_up", None], ["sleep", 2], *WITH_WEIGHTS] == told
