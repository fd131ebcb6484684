"""What is asked of a machine before it serves, and what to do where the answer is no."""

import errno
import importlib.util
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

MIB = 2**20
LAPTOP_STACK_BYTES = 2560 * MIB  # what configs/laptop.yaml may take in all: Ray, the router, llama.cpp
SMALLEST_STACK_BYTES = 1024 * MIB  # Ray's own processes do not fit in less
SHARED_MEMORY_BYTES = 256 * MIB  # containers get 64 MiB unless told otherwise; Ray then falls back to the disk
IMPORT_TIMEOUT_S = 60.0


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What one check found, and what to do about it; `advice` is empty when there is nothing to do."""

    subject: str
    state: State
    found: str
    advice: str = ""


def check_python(version: tuple[int, int, int]) -> Diagnosis:
    found = ".".join(map(str, version))
    if (3, 11) <= version < (3, 13):
        return Diagnosis("Python", State.OK, found)
    return Diagnosis("Python", State.FAIL, found, "Make the environment with Python 3.11 or 3.12.")


def check_packages(intruders: Sequence[str]) -> list[Diagnosis]:
    """One diagnosis for each intruder, each of which says itself what to do."""
    if not intruders:
        return [Diagnosis("packages", State.OK, "configs, cache, router and deployments are Enginehouse's own")]
    return [Diagnosis("packages", State.FAIL, intruder) for intruder in intruders]


def pinned_version(requirements: Sequence[str], distribution: str) -> str | None:
    """The version that `requirements` (as `name[extra]==version; marker`) pin a distribution to, if they do."""
    for requirement in requirements:
        name, equals, version = requirement.partition(";")[0].replace(" ", "").partition("==")
        if equals and name.partition("[")[0].lower() == distribution:
            return version
    return None


def check_ray(installed: str | None, pinned: str | None) -> Diagnosis:
    if installed is None:
        return Diagnosis("Ray", State.FAIL, "not installed", "Run `make setup`.")
    if pinned is None:
        return Diagnosis(
            "Ray",
            State.WARN,
            f"{installed}, but which release is wanted is unknown: Enginehouse itself is not installed",
            "Run `make setup`, or `pip install --no-deps -e .` in the checkout.",
        )
    if installed != pinned:
        return Diagnosis(
            "Ray",
            State.FAIL,
            f"{installed} instead of {pinned}",
            f'Run `pip install "ray[serve]=={pinned}"`: parts of Ray Serve that may change with any release are used.',
        )
    return Diagnosis("Ray", State.OK, installed)


def check_port(host: str, port: int) -> Diagnosis:
    subject = f"port {port}"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            found = f"cannot be listened on at {host}: {error.strerror}"
            return Diagnosis(subject, State.WARN, found, _advice_on_port(error))
    return Diagnosis(subject, State.OK, f"free at {host}")


def _advice_on_port(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "Unless Enginehouse itself is running: stop what listens there, or set another `listener.port`."
    if error.errno == errno.EACCES:
        return "Ports below 1024 are for root: set another `listener.port`."
    return "Set `listener.host` to an address of this machine; 0.0.0.0 is all of them."


def check_shared_memory(free_bytes: int | None) -> Diagnosis:
    """`free_bytes` is None where there is no /dev/shm, as on macOS."""
    if free_bytes is None:
        return Diagnosis("shared memory", State.OK, "no /dev/shm on this system, Ray does without")
    found = f"{free_bytes // MIB} MiB free in /dev/shm"
    if free_bytes < SHARED_MEMORY_BYTES:
        advice = f"At least {SHARED_MEMORY_BYTES // MIB} MiB are wanted; start a container with `--shm-size=1g`."
        return Diagnosis("shared memory", State.WARN, found, advice)
    return Diagnosis("shared memory", State.OK, found)


def check_memory(available_bytes: int | None) -> Diagnosis:
    """`available_bytes` is None where the system does not say."""
    if available_bytes is None:
        return Diagnosis("memory", State.OK, "this system does not say how much is available")
    found = f"{available_bytes // MIB} MiB available"
    if available_bytes >= LAPTOP_STACK_BYTES:
        return Diagnosis("memory", State.OK, found)
    state = State.WARN if available_bytes >= SMALLEST_STACK_BYTES else State.FAIL
    advice = (
        f"configs/laptop.yaml takes up to {LAPTOP_STACK_BYTES // MIB} MiB: close something, or use a larger machine."
    )
    return Diagnosis("memory", state, found, advice)


def check_open_files(max_open_files: int, max_connections: int) -> Diagnosis:
    found = f"{max_open_files} may be open at once"
    if max_open_files >= max_connections:
        return Diagnosis("open files", State.OK, found)
    advice = f"A router replica takes up to {max_connections} connections: run `ulimit -n 65536` before serving many."
    return Diagnosis("open files", State.WARN, found, advice)


def check_import(module: str, needed_for: str) -> Diagnosis:
    """Imports `module` in a process of its own: native code that does not fit the CPU dies by a signal."""
    if importlib.util.find_spec(module) is None:
        return Diagnosis(module, State.WARN, "not installed", f"{needed_for} needs it: run `make setup`.")
    command = [sys.executable, "-c", f"import {module}"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return Diagnosis(module, State.FAIL, f"was not imported within {IMPORT_TIMEOUT_S:.0f} s", "Install it again.")
    if ended.returncode < 0:
        found = f"its import was ended by {signal.Signals(-ended.returncode).name}"
        return Diagnosis(
            module, State.FAIL, found, f"It does not fit this CPU. Build it here, if you need {needed_for}."
        )
    if ended.returncode > 0:
        lines = ended.stderr.strip().splitlines() or ["no reason given"]
        return Diagnosis(module, State.FAIL, f"cannot be imported: {lines[-1]}", "Install it again.")
    return Diagnosis(module, State.OK, "can be imported")


def check_weights(package: str) -> Diagnosis:
    """Looks for the weights without importing their package, whose own dependencies are not installed."""
    spec = importlib.util.find_spec(package)
    folders = [Path(location) for location in (spec.submodule_search_locations or [])] if spec else []
    files = sorted(path for folder in folders for path in folder.glob("*.gguf"))
    if not files:
        advice = "configs/laptop.yaml needs them: run `make setup`."
        return Diagnosis("default weights", State.WARN, f"no GGUF file in a package {package}", advice)
    sizes = ", ".join(f"{path.name}, {path.stat().st_size // MIB} MiB" for path in files)
    return Diagnosis("default weights", State.OK, sizes)
