"""One step of a build: its process, its log, and what is told meanwhile."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from deployments.compiled_engines.errors import StepFailedError
from deployments.compiled_engines.plan import Step
from deployments.engines.tensorrt_llm.launcher import clean_environment

POLL_S = 0.2
TOLD_EVERY_S = 30.0
"""How often a log is told that a step goes on. A terminal sees it at every poll."""

STOP_TIMEOUT_S = 10.0
"""From SIGTERM to SIGKILL. The tools keep nothing that would be lost."""

_TAIL_BYTES = 8192
_LAST_LINES = 15
_TERMINAL_COLUMNS = 110


class Progress:
    """Lines on standard error: one that overwrites itself on a terminal, elsewhere a line now and then."""

    def __init__(self, label: str, write: Callable[[str], object] = sys.stderr.write) -> None:
        self._label = label
        self._write = write
        self._is_terminal = sys.stderr.isatty()
        self._begun = time.monotonic()
        self._told = self._begun
        self.say("begins")

    def say(self, text: str) -> None:
        """A line of its own."""
        self._write(("\r\x1b[K" if self._is_terminal else "") + f"{self._label}: {text}\n")
        sys.stderr.flush()

    def going_on(self, last_line: str) -> None:
        now = time.monotonic()
        text = f"{self._label}: {self.elapsed}: {last_line}"
        if self._is_terminal:
            self._write(f"\r\x1b[K{text[:_TERMINAL_COLUMNS]}")
            sys.stderr.flush()
        elif now - self._told >= TOLD_EVERY_S:
            self._told = now
            self._write(text + "\n")
            sys.stderr.flush()

    @property
    def elapsed(self) -> str:
        seconds = int(time.monotonic() - self._begun)
        return f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"


def run_step(step: Step, folder: Path, log: Path, progress: Progress, lock: int) -> None:
    """
    Runs it to its end. Whatever ends this function ends the step's processes, too.

    Args:
        folder: what it runs in: the tools leave caches where they are.
        lock: a file descriptor that the processes inherit.

    Raises:
        StepFailedError: it ended with an error, or cannot be started.
    """
    environment = {**clean_environment(), "PYTHONUNBUFFERED": "1"}
    with log.open("wb") as output:
        output.write(f"{' '.join(step.argv)}\n".encode())
        output.flush()
        try:
            process = subprocess.Popen(
                step.argv,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                pass_fds=(lock,),
            )
        except OSError as error:
            raise StepFailedError(f"cannot execute {step.argv[0]}: {error.strerror}") from error
    try:
        code = _wait(process, log, progress)
    finally:
        end_group(process)
    if code != 0:
        how = f"signal {-code}" if code < 0 else f"code {code}"
        last = "\n".join(f"  {line}" for line in last_lines(log, _LAST_LINES))
        raise StepFailedError(
            f"{step.name}: {Path(step.argv[0]).name} ended with {how}; its output is in {log}:\n{last}"
        )


def _wait(process: subprocess.Popen[bytes], log: Path, progress: Progress) -> int:
    while True:
        try:
            return process.wait(timeout=POLL_S)
        except subprocess.TimeoutExpired:
            progress.going_on("".join(last_lines(log, 1)))


def last_lines(log: Path, count: int) -> list[str]:
    """Without empty ones. A line that a tool rewrote is read as it stood at last."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        text = file.read().decode("utf-8", "replace")
    lines = (line.rstrip().rpartition("\r")[2] for line in text.split("\n"))
    return list(deque((line for line in lines if line.strip()), maxlen=count))


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and whatever it started in its group."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=STOP_TIMEOUT_S)
    try:
        os.killpg(process.pid, signal.SIGKILL)  # its children, too, which may not have obeyed
    except ProcessLookupError:
        return
    process.wait()
