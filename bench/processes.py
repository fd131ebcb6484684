"""Servers that the bench starts: each in a process group of its own, with its output in a file."""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.process_tree import Process, read_processes, tree

STOP_TIMEOUT_S = 60.0


class ServerFailed(Exception):
    """A server did not start, or ended by itself; the message ends with its last lines."""


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A child process that serves."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log_file: Path) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._log_file = log_file

    def check(self) -> None:
        """Raise `ServerFailed` when it has ended."""
        status = self._process.poll()
        if status is not None:
            raise ServerFailed(f"{self.name} ended with status {status}\n{self.last_lines()}")

    def last_lines(self, num_lines: int = 30) -> str:
        return "\n".join(self._log_file.read_text(errors="replace").splitlines()[-num_lines:])

    def stop(self) -> None:
        """Ask with SIGTERM, wait, and end whatever is left of its tree."""
        descendants = _descendants(self.pid)
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT_S)
        left = read_processes()
        for process in descendants:
            if process.pid in left and left[process.pid].started_ticks == process.started_ticks:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
        self._process.wait()


def _descendants(pid: int) -> list[Process]:
    """And the process itself."""
    table = read_processes()
    return [table[member] for member in tree(table, [pid])]


@contextlib.contextmanager
def running(name: str, command: Sequence[str], environment: Mapping[str, str], log_folder: Path) -> Iterator[Server]:
    """A server as long as the block runs. `environment` comes on top of the bench's own."""
    log_file = log_folder / f"{name}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(name, process, log_file)
    try:
        yield server
    finally:
        server.stop()
