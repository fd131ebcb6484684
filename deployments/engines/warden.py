"""
Runs one engine so that nothing of it outlives its owner. Started by file path; needs the standard library only.

    python -I -S warden.py CONTROL_FD STATUS_FD COMMAND...

The owner holds the only write end of CONTROL_FD. `stop SECONDS` on it asks for SIGTERM and, after that many seconds,
SIGKILL; its end of file means that the owner is gone, whatever killed it. STATUS_FD gets one line for each event:
`started PID` or `failed ERRNO`, then `exit CODE` or `signal NUMBER`; its end of file means that no descendant is left.

This is a process of its own, with one thread, because Linux ties the parent-death signal to the *thread* that forked:
forked from a side thread of a larger program, an engine would die with that thread.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

OWNER_GONE_GRACE_S = 0.4
"""How long an engine may clean up once nobody waits for it: everything must be gone within a second."""

KILL_INTERVAL_S = 0.01
PR_SET_PDEATHSIG = 1  # Source: linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    # Other systems have no equal of it; there, only the engine's process group is killed.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _parents() -> dict[int, int]:
    """Every process of this machine with its parent's id; empty where there is no /proc."""
    parents: dict[int, int] = {}
    try:
        names = os.listdir("/proc")  # noqa: PTH208
    except FileNotFoundError:
        return parents
    for name in names:
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123  pathlib triples the warden's start
                stat = file.read()
        except OSError:
            continue  # it ended while we were reading
        # The second field is the program's name in parentheses and may itself hold blanks and parentheses.
        parents[int(name)] = int(stat.rpartition(b")")[2].split()[1])
    return parents


def descendants(ancestor: int) -> list[int]:
    """Ids of every living descendant. Orphans count: the warden is their subreaper, so they become its children."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    unvisited = [ancestor]
    while unvisited:
        for pid in children.get(unvisited.pop(), []):
            found.append(pid)
            unvisited.append(pid)
    return found


def _become(command: list[str], warden: int, errors: int) -> None:
    """Turns this freshly forked process into the engine; never returns."""
    try:
        os.setsid()
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == warden:  # else the warden died before it was tied to us
            # Python ignores SIGPIPE, and what is ignored stays so across exec.
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.execvp(command[0], command)  # noqa: S606  no shell is wanted
    except OSError as error:
        os.write(errors, str(error.errno).encode())
    finally:
        os._exit(127)


def _start(command: list[str]) -> tuple[int, int]:
    """The engine's process id and 0, or the errno that kept the command from being executed."""
    outcome, errors = os.pipe()  # closed by a successful exec, which is how success is told
    warden = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(command, warden, errors)
    os.close(errors)
    failure = os.read(outcome, 16)
    os.close(outcome)
    return pid, int(failure or 0)


class Warden:
    def __init__(self, control: int, status: int) -> None:
        self._control: int | None = control
        self._status = status
        self._engine = 0
        self._is_engine_running = False
        self._kill_at_s: float | None = None
        """When SIGKILL is due, on the monotonic clock; None until a stop is asked for."""

        for descriptor in (control, status):
            os.set_inheritable(descriptor, False)  # noqa: FBT003  takes no keyword
        self._wakeup, wakeup = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])  # a mask survives exec, and the owner's is unknown
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)  # the wakeup pipe tells the loop
        _prctl(PR_SET_CHILD_SUBREAPER, 1)

    def run(self, command: list[str]) -> None:
        self._engine, failure = _start(command)
        if failure:
            self._report(f"failed {failure}")
            return
        self._is_engine_running = True
        self._report(f"started {self._engine}")
        self._watch()
        self._kill_everything()

    def _report(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # the owner is gone, and so is whom to tell
            os.write(self._status, f"{line}\n".encode())

    def _watch(self) -> None:
        """Returns when what is left, if anything, is to be killed."""
        while True:
            sources = [self._wakeup] if self._control is None else [self._wakeup, self._control]
            remaining_s = None if self._kill_at_s is None else max(0.0, self._kill_at_s - time.monotonic())
            readable, _, _ = select.select(sources, [], [], remaining_s)
            if self._wakeup in readable:
                self._on_signals(os.read(self._wakeup, 4096))
            if self._control in readable:
                self._on_control()
            has_children = self._reap()
            # A stopping engine's own children may use what is left of the grace; a crashed one's may not.
            if not has_children or (not self._is_engine_running and self._kill_at_s is None):
                return
            if self._kill_at_s is not None and time.monotonic() >= self._kill_at_s:
                return

    def _on_signals(self, numbers: bytes) -> None:
        if any(number != signal.SIGCHLD for number in numbers):
            self._stop(OWNER_GONE_GRACE_S)

    def _on_control(self) -> None:
        assert self._control is not None  # noqa: S101  narrows the type
        words = os.read(self._control, 4096).split()
        if words:
            self._stop(float(words[-1]))
        else:
            os.close(self._control)
            self._control = None
            self._stop(OWNER_GONE_GRACE_S)

    def _stop(self, grace_s: float) -> None:
        """A second stop can only shorten the first one's grace."""
        kill_at_s = time.monotonic() + grace_s
        if self._kill_at_s is None:
            self._signal_group(signal.SIGTERM)
            self._kill_at_s = kill_at_s
        self._kill_at_s = min(self._kill_at_s, kill_at_s)

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
            os.killpg(self._engine, number)

    def _reap(self) -> bool:
        """Collects the dead, orphans of the engine among them. Whether any descendant is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._engine:
                self._is_engine_running = False
                code = os.waitstatus_to_exitcode(status)
                self._report(f"exit {code}" if code >= 0 else f"signal {-code}")

    def _kill_everything(self) -> None:
        """SIGKILL until there is no child: a descendant may fork while we look, but its orphans come to us."""
        while self._reap():
            if self._is_engine_running:
                self._signal_group(signal.SIGKILL)
            for pid in descendants(os.getpid()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(KILL_INTERVAL_S)


if __name__ == "__main__":
    Warden(int(sys.argv[1]), int(sys.argv[2])).run(sys.argv[3:])
