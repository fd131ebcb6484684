"""The memory of a simulated GPU, which one engine has at a time."""

import fcntl
import os
import time


class GpuFullError(Exception):
    """Another engine has the memory."""


class SimulatedGpu:
    """
    An engine that takes the memory has it until it gives it back or its process ends.

    Args:
        path: of the file that stands for the GPU, made where it is missing; None: memory without end.
        model: of the engine, for the file's lines: when on the monotonic clock, which model, and `takes` or `gives`.
        wake_delay_s: how long waking takes, in seconds.
    """

    def __init__(self, path: str | None, model: str, wake_delay_s: float) -> None:
        self._path = path
        self._model = model
        self._file: int | None = None
        self.wake_delay_s = wake_delay_s
        self.is_taken = False

    def take(self) -> None:
        """
        May be called again.

        Raises:
            GpuFullError: another has it.
            OSError: the file cannot be used.
        """
        if self._path is not None and self._file is None:
            file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                raise GpuFullError(f"out of memory: another engine has all of the GPU {self._path}") from None
            self._file = file
            self._note("takes")
        self.is_taken = True

    def give_back(self) -> None:
        """May be called again."""
        if self._file is not None:
            self._note("gives")
            os.close(self._file)
        self._file, self.is_taken = None, False

    def _note(self, word: str) -> None:
        if self._file is not None:
            os.write(self._file, f"{time.monotonic():.6f} {self._model} {word}\n".encode())
