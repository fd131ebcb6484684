"""One scenario against one running contender: windows of load, with CPU sampled at their edges."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from bench.measured import Marked, Window
from bench.process_tree import ProcessTable, cpu_s, read_processes
from bench.readiness import Address
from bench.scenarios import Scenario

Group: TypeAlias = Callable[[ProcessTable], set[int]]
"""Which of the machine's processes are counted together."""

WARM_UP_S = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to look."""

    window_s: float = 8.0
    num_windows: int = 3
    idle_s: float = 4.0


class ClientFailed(Exception):
    """The bench's own client ended early, or got no answers; what it said is on standard error."""


def measure_idle(groups: dict[str, Group], seconds: float) -> dict[str, float]:
    """CPU seconds a second of each group."""
    before, began = read_processes(), time.monotonic()
    time.sleep(seconds)
    after, elapsed_s = read_processes(), time.monotonic() - began
    return {name: _spent_s(group, before, after) / elapsed_s for name, group in groups.items()}


def measure(
    scenario: Scenario, groups: dict[str, Group], address: Address, plan: Plan, idle_ratio: dict[str, float]
) -> list[Window]:
    """
    Load the address, and look at it `plan.num_windows` times.

    Raises:
        ClientFailed: there is nothing to divide by, or nobody who counts.
    """
    windows = []
    with loading(scenario, address) as client:
        time.sleep(scenario.ramp_s + WARM_UP_S)
        mark(client)
        before, began = read_processes(), time.monotonic()
        for _ in range(plan.num_windows):
            time.sleep(plan.window_s)
            marked = mark(client)
            if not marked.num_requests and not marked.num_tokens:
                raise ClientFailed(f"nothing was answered within a window; errors: {marked.errors or 'none'}")
            after, ended = read_processes(), time.monotonic()
            spent_s = {name: _spent_s(group, before, after) for name, group in groups.items()}
            windows.append(Window(ended - began, marked, spent_s, idle_ratio))
            before, began = after, ended
    return windows


@contextlib.contextmanager
def loading(scenario: Scenario, address: Address) -> Iterator["subprocess.Popen[str]"]:
    """The client's process, to be asked with `mark`."""
    ports = ",".join(map(str, address.ports))
    command = [sys.executable, "-m", "bench.load", scenario.name, address.host, ports, address.key]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        try:
            yield client
        finally:
            client.kill()


def _spent_s(group: Group, before: ProcessTable, after: ProcessTable) -> float:
    return cpu_s(after, group(after)) - cpu_s(before, group(before))


def mark(client: "subprocess.Popen[str]") -> Marked:
    """
    What the client saw since it was asked the last time.

    Raises:
        ClientFailed: it is gone.
    """
    if client.stdin is None or client.stdout is None:
        raise ClientFailed("it was started without pipes")
    try:
        client.stdin.write("mark\n")
        client.stdin.flush()
    except BrokenPipeError as error:
        raise ClientFailed("it is gone") from error
    line = client.stdout.readline()
    if not line:
        raise ClientFailed("it is gone")
    return Marked(**json.loads(line))
