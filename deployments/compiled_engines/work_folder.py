"""The folder of an unfinished build, beside where the engine will appear: steps' outputs, their logs, what is done."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deployments.compiled_engines.errors import CompiledEngineError
from deployments.compiled_engines.plan import Step

_LOCK, _STATE, _LOGS = "lock", "state.json", "logs"


class WorkFolder:
    """
    Steps that are finished stay finished over several runs, as long as what is built is the same.

    Nobody else is in the folder while this exists: `opened` holds its lock.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self.lock = lock
        self._inputs: dict[str, Any] = {}
        self._finished: list[str] = []

    def begin(self, inputs: dict[str, Any]) -> list[str]:
        """
        Takes up what an earlier run left, if it was for the same `inputs`; else empties the folder.

        Args:
            inputs: all that the outputs depend on, in a form that JSON can hold.

        Returns:
            the names of inputs that were others in the earlier run; empty for the same, and for a first run.
        """
        inputs = json.loads(json.dumps(inputs))
        state = self._read_state()
        self._inputs = inputs
        if state is not None and state["digest"] == _digest(inputs):
            self._finished = list(state["finished"])
            return []
        before = {} if state is None else state["inputs"]
        self._finished = []
        for path in self.path.iterdir():
            if path.name != _LOCK:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self._write_state()
        return [] if state is None else _changed(before, inputs)

    @property
    def finished(self) -> frozenset[str]:
        return frozenset(self._finished)

    def output(self, step: Step) -> Path:
        return self.path / step.name

    def log(self, number: int, step: Step) -> Path:
        logs = self.path / _LOGS
        logs.mkdir(exist_ok=True)
        return logs / f"{number}-{step.name}.log"

    @property
    def logs(self) -> Path:
        return self.path / _LOGS

    def is_finished(self, step: Step) -> bool:
        """Whether it was finished, and its output is still there."""
        return step.name in self._finished and not self.missing(step)

    def missing(self, step: Step) -> list[str]:
        """Files that the step should have left, and did not."""
        return [name for name in step.outputs if not (self.output(step) / name).is_file()]

    def discard(self, step: Step) -> None:
        """Half of an output is removed: what a tool does with one is unknown."""
        self._finished = [name for name in self._finished if name != step.name]
        self._write_state()
        shutil.rmtree(self.output(step), ignore_errors=True)

    def finish(self, step: Step) -> None:
        self._finished.append(step.name)
        self._write_state()

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _read_state(self) -> dict[str, Any] | None:
        try:
            state = json.loads((self.path / _STATE).read_text(encoding="utf-8"))
            return {name: state[name] for name in ("digest", "inputs", "finished")}
        except (OSError, ValueError, KeyError, TypeError):
            return None  # never begun, or not ours to understand: begun anew

    def _write_state(self) -> None:
        state = {"digest": _digest(self._inputs), "inputs": self._inputs, "finished": self._finished}
        partial = self.path / f"{_STATE}.partial"
        partial.write_text(json.dumps(state, indent=1), encoding="utf-8")
        partial.replace(self.path / _STATE)


def _digest(inputs: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def work_folder_of(output: Path) -> Path:
    """On the same file system as `output`, so that the engine can be moved there at once."""
    return output.with_name(f".{output.name}.build")


@contextmanager
def opened(output: Path) -> Iterator[WorkFolder]:
    """
    The work folder, made where it is missing, for one build at a time.

    The lock goes with `WorkFolder.lock` to the tools, too: one that outlived its build still writes into the folder.

    Raises:
        CompiledEngineError: another build of `output` runs, or the folder cannot be made.
    """
    path = work_folder_of(output)
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise CompiledEngineError(f"cannot make {path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise CompiledEngineError(
                f"another build of {output} is running: process {holder}, or a tool that it has left behind"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield WorkFolder(path, lock)
    finally:
        os.close(lock)
