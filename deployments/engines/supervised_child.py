"""A child process of which nothing outlives us, even when we are killed with SIGKILL."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

from deployments.engines.child_output import LineReader
from deployments.engines.contract import ChildCommand
from deployments.engines.errors import EngineStartError
from deployments.engines.exit_causes import find_cause

NUM_LAST_LINES = 20

NUM_SEARCHED_LINES = 500
"""Lines in which the cause of an exit is looked for: vLLM's processes print 60 lines each about another's failure."""

WARDEN = Path(__file__).with_name("warden.py")

OUTPUT_END_TIMEOUT_S = 1.0
"""How long to wait for the rest of a dead child's output. It ends when the warden has killed every writer."""

OnLine: TypeAlias = Callable[[str, str], None]
"""Called with `stdout` or `stderr` and a line, on the event loop; must not block."""


@dataclass(frozen=True, slots=True)
class ExitReport:
    """
    How a child ended: by itself with `code`, or by `signal`. Both are None when its warden was killed with it.

    `cause` is what its output gives as the reason, where one could be told.
    """

    code: int | None
    signal: int | None
    last_lines: tuple[str, ...]
    cause: str | None = None

    def __str__(self) -> str:
        if self.signal is not None:
            end = f"was killed by {signal_name(self.signal)}"
        elif self.code is not None:
            end = f"exited with code {self.code}"
        else:
            end = "was lost together with its warden"
        if not self.last_lines:
            return f"{end} and printed nothing"
        if self.cause is not None:
            end = f"{end}: {self.cause}"
        return "\n  ".join([f"{end}; its last lines:", *self.last_lines])


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no names
        return f"signal {number}"


class SupervisedChild:
    """
    One child process, started once, with everything that it starts.

    The child leads its own session and process group. Whoever creates this object owns the child: when `stop` returns,
    and within a second of the owner's death however it came, every descendant of the child is gone, those included that
    left its session. `warden.py` sees to it.

    Does not depend on which thread or which event loop runs it: no child watcher and no signal handler is used.
    """

    def __init__(self, command: ChildCommand, on_line: OnLine) -> None:
        self._command = command
        self._on_line = on_line
        self._last_lines: deque[str] = deque(maxlen=NUM_SEARCHED_LINES)
        self._control: int | None = None
        self._pid: int | None = None
        self._report: asyncio.Future[ExitReport] = asyncio.get_running_loop().create_future()
        self._watcher: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        return self._pid is not None and not self._report.done()

    @property
    def pid(self) -> int | None:
        """The engine's own process id, not its warden's; None before the start. Also its process group's id."""
        return self._pid

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last 20 lines of both streams, oldest first."""
        return tuple(self._last_lines)[-NUM_LAST_LINES:]

    async def start(self) -> None:
        """
        Returns once the command is being executed; whether it works is another question.

        Raises:
            EngineStartError: it cannot be executed; the message names it.
        """
        control, self._control = os.pipe()
        status, status_writer = os.pipe()
        try:
            warden = self._spawn_warden(control, status_writer)
        except BaseException:
            os.close(status)
            self._release()
            raise
        finally:
            os.close(control)
            os.close(status_writer)
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watcher = asyncio.create_task(self._watch(warden, status, started))
        try:
            await started
        except BaseException:
            self._release()
            await self._watcher
            raise

    def _spawn_warden(self, control: int, status: int) -> "subprocess.Popen[bytes]":
        # -I -S: the engine's own PYTHONPATH and site packages are not the warden's business, and it starts in 20 ms.
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(WARDEN), str(control), str(status), *self._command.argv],
            env={**os.environ, **self._command.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(control, status, *self._command.inherited),
            start_new_session=True,  # Ctrl-C in a terminal is for the owner, which drains first
        )

    async def wait_exit(self) -> ExitReport:
        """Returns when the child has ended and its output was read to the end."""
        return await asyncio.shield(self._report)

    async def stop(self, grace_s: float) -> None:
        """
        SIGTERM to the child's process group, then, after `grace_s` seconds, SIGKILL to every descendant.

        Returns when none is left. May be called again, also at the same time: the shorter grace counts.
        """
        if self._watcher is None:
            return
        if self._control is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._control, f"stop {grace_s}\n".encode())
        await asyncio.shield(self._watcher)

    async def _watch(self, warden: "subprocess.Popen[bytes]", status: int, started: "asyncio.Future[None]") -> None:
        """Follows the warden's events until no descendant is left."""
        readers = [
            await self._read_lines("stdout", warden.stdout),
            await self._read_lines("stderr", warden.stderr),
        ]
        events = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(events), os.fdopen(status, "rb", 0)
        )
        failure = "its warden could not start"
        async for line in events:
            match line.split():
                case [b"started", pid]:
                    self._pid = int(pid)
                    if not started.done():  # done when whoever waited was cancelled
                        started.set_result(None)
                case [b"failed", errno]:
                    failure = _cannot_execute(self._command.argv[0], int(errno))
                case [b"exit", number]:
                    await self._ended(readers, code=int(number))
                case [b"signal", number]:
                    await self._ended(readers, signal_number=int(number))
        transport.close()  # uvloop leaves that to us
        await asyncio.to_thread(warden.wait)
        if not self._report.done():
            self._kill_group()
            await self._ended(readers)
        self._release()
        if not started.done():
            started.set_exception(EngineStartError("\n  ".join([failure, *self.last_lines])))

    async def _ended(
        self, readers: list[LineReader], *, code: int | None = None, signal_number: int | None = None
    ) -> None:
        # Not later, once every descendant is gone: one that hangs in a driver must not hide the death.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(OUTPUT_END_TIMEOUT_S):
                for reader in readers:
                    await reader.ended.wait()
        # Whoever sent another signal did not ask what was printed; an exception there is of an earlier request.
        has_reason = code not in (None, 0) or signal_number == signal.SIGABRT
        cause = find_cause(self._last_lines) if has_reason else None
        self._report.set_result(ExitReport(code, signal_number, self.last_lines, cause))

    async def _read_lines(self, stream_name: str, pipe: IO[bytes] | None) -> LineReader:
        def keep(line: str) -> None:
            self._last_lines.append(line)
            self._on_line(stream_name, line)

        _, reader = await asyncio.get_running_loop().connect_read_pipe(lambda: LineReader(keep), pipe)
        return reader

    def _kill_group(self) -> None:
        """Without its warden the child died of its parent-death signal, but the rest of its group did not."""
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)

    def _release(self) -> None:
        """Closes the pipe whose end tells the warden that nobody needs the child any more."""
        if self._control is not None:
            os.close(self._control)
            self._control = None


def _cannot_execute(program: str, errno: int) -> str:
    if os.sep not in program and shutil.which(program) is None:
        return f"cannot execute {program}: no such program on the PATH"
    return f"cannot execute {program}: {os.strerror(errno)}"
