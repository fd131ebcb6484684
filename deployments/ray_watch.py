"""What becomes of a command's own cluster when Ray itself dies beneath it."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from deployments.engines.supervised_child import signal_name
from deployments.serve_internals import started_processes

LOOK_S = 1.0
"""How often is looked, in seconds."""

NEEDED = ("gcs_server", "raylet")
"""Ray's names of what it does nothing without. Its dashboard and its agents are not needed to serve."""

Processes = Mapping[str, Sequence["subprocess.Popen[bytes]"]]


@contextmanager
def ending_with_ray(logs: Path) -> Iterator[None]:
    """
    Within it, this process ends with exit code 1 once Ray cannot do anything more, and ends whatever is left of Ray.

    Routers and engines would serve on, and nobody would replace what dies; this command, asked to stop, would wait for
    answers that do not come. `logs` is where Ray's own are.
    """

    def end(name: str, code: int) -> None:
        click.echo(
            f"enginehouse: Ray's {name} ended ({_ending(code)}), without which nothing that dies is replaced, so "
            f"everything ends; Ray's logs are in {logs}",
            err=True,
        )
        kill_sessions({process.pid for ones in processes.values() for process in ones})
        os._exit(1)  # the main thread may be in Ray's code, waiting

    processes = started_processes()
    with watching(processes, end):
        yield


@contextmanager
def watching(processes: Processes, end: Callable[[str, int], None]) -> Iterator[None]:
    """Within it, `end` is called once, in a thread, with the name and exit code of the first of `NEEDED` that ended."""
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(LOOK_S):
            for name in NEEDED:
                for process in processes.get(name, ()):
                    code = process.poll()
                    if code is not None and not is_over.is_set():
                        end(name, code)
                        return

    thread = threading.Thread(target=watch, name="ray-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def kill_sessions(sessions: Collection[int]) -> None:
    """SIGKILL to each process of these sessions. Replicas outlive their raylet where PID 1 does not adopt them."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            # After the name, which may have anything in it: state, parent, group, session.
            if int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[3]) in sessions:
                os.kill(int(folder.name), signal.SIGKILL)


def _ending(code: int) -> str:
    return signal_name(-code) if code < 0 else f"exit code {code}"
