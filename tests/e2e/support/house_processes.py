"""The processes of a running Enginehouse, found from outside."""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import psutil

_ENGINE_SCRIPTS = ("llama_cpp_server.py", "simulated_server.py", "enginehouse_vllm.py")


@dataclass(frozen=True, eq=False)
class EngineProcess:
    """One engine's own process, with the address and secret that only routers are told."""

    process: psutil.Process = field(repr=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    @cached_property
    def launch(self) -> dict[str, object]:
        """What it was started with: `host`, `port`, `secret`, `model` and the rest of its settings."""
        environment = self.process.environ()
        if "ENGINEHOUSE_ENGINE" not in environment:  # vLLM has its own options, and only the secret is not among them
            words = self.process.cmdline()
            named = {name: words[words.index(f"--{name}") + 1] for name in ("host", "port", "served-model-name")}
            return {**named, "model": named["served-model-name"], "secret": environment["ENGINEHOUSE_SECRET"]}
        launch: dict[str, object] = json.loads(environment["ENGINEHOUSE_ENGINE"])
        return launch


def family(root: psutil.Process) -> list[psutil.Process]:
    """A process and all its living descendants."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [root, *root.children(recursive=True)]
    return []


def replicas(processes: Iterable[psutil.Process], application: str) -> list[psutil.Process]:
    """The processes of an application's replicas, whatever their state."""
    title = f"ray::ServeReplica:{application}:"
    return [process for process in processes if _is_alive(process) and title in _command_line(process)]


def engines(processes: Iterable[psutil.Process], model: str | None = None) -> list[EngineProcess]:
    """The engines' own processes: those of one model, or of all."""
    found = [EngineProcess(process) for process in processes if _is_engine(process)]
    return [engine for engine in found if model is None or _serves(engine, model)]


def is_listening(process: psutil.Process, port: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        sockets = process.net_connections("tcp")
        return any(socket.status == psutil.CONN_LISTEN and socket.laddr.port == port for socket in sockets)
    return False


def clients(process: psutil.Process, port: int) -> set[int]:
    """The ports of the clients that are connected to a process at `port`."""
    with contextlib.suppress(psutil.NoSuchProcess):
        sockets = process.net_connections("tcp")
        return {
            socket.raddr.port
            for socket in sockets
            if socket.raddr and socket.laddr.port == port and socket.status == psutil.CONN_ESTABLISHED
        }
    return set()


def alive(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that still run. A zombie does not."""
    return [process for process in processes if _is_alive(process)]


def shared_memory() -> set[str]:
    folder = Path("/dev/shm")  # noqa: S108 - the kernel's own folder
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _command_line(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return " ".join(process.cmdline())
    return ""


def _is_engine(process: psutil.Process) -> bool:
    # The warden has the engine's script on its command line, too.
    command = _command_line(process)
    return any(name in command for name in _ENGINE_SCRIPTS) and "warden.py" not in command and _is_alive(process)


def _serves(engine: EngineProcess, model: str) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess, KeyError):
        return engine.launch["model"] == model
    return False
