"""`deployments/engines/supervised_child.py` and its warden, with real processes."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from deployments.engines.contract import ChildCommand
from deployments.engines.errors import EngineStartError
from deployments.engines.supervised_child import SupervisedChild
from deployments.engines.warden import descendants

REPOSITORY = Path(__file__).parents[3]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc what became of the processes")

StartChild = Callable[..., Awaitable[SupervisedChild]]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]
IsAlive = Callable[[int], bool]
StartOwner = Callable[[str], Awaitable[tuple[Process, dict[str, int]]]]

GRANDCHILD_THAT_LEFT = """
import os, time
if os.fork() == 0:
    os.setsid()
    print("grandchild", os.getpid(), flush=True)
    time.sleep(600)
"""

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"

OWNER = """
import asyncio, sys
from deployments.engines.contract import ChildCommand
from deployments.engines.supervised_child import SupervisedChild

async def own():
    command = ChildCommand((sys.executable, "-c", sys.argv[1]), {})
    child = SupervisedChild(command, lambda _, line: print(line, flush=True))
    await child.start()
    print("child", child.pid, flush=True)
    await child.wait_exit()

asyncio.run(own())
"""


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
def lines() -> list[tuple[str, str]]:
    """What the children of `start_child` printed: stream and line."""
    return []


@pytest.fixture
async def start_child(lines: list[tuple[str, str]]) -> AsyncIterator[StartChild]:
    children: list[SupervisedChild] = []

    async def start(code: str, **environment: str) -> SupervisedChild:
        command = ChildCommand((sys.executable, "-c", code), environment)
        child = SupervisedChild(command, lambda stream_name, line: lines.append((stream_name, line)))
        children.append(child)
        await child.start()
        return child

    yield start
    for child in children:
        await child.stop(grace_s=0)


@pytest.fixture
async def start_owner() -> AsyncIterator[StartOwner]:
    """Starts a process that owns a child; gives it and the ids of the processes below it, once the child is deaf."""
    owners: list[Process] = []

    async def start(code: str) -> tuple[Process, dict[str, int]]:
        owner = await asyncio.create_subprocess_exec(
            sys.executable, "-c", OWNER, code, stdout=PIPE, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
        )
        owners.append(owner)
        assert owner.stdout is not None
        pids: dict[str, int] = {}
        is_deaf = False
        wanted = {"child", "grandchild"} if "grandchild" in code else {"child"}
        while not (is_deaf and wanted <= pids.keys()):
            words = (await owner.stdout.readline()).decode().split()
            is_deaf = is_deaf or words == ["deaf"]
            if len(words) == 2:
                pids[words[0]] = int(words[1])
        return owner, pids

    yield start
    for owner in owners:
        if owner.returncode is None:
            owner.kill()
        await owner.communicate()


async def test_reports_the_exit_code_and_the_last_lines(start_child: StartChild) -> None:
    """A child that ends by itself is reported with its code and what it printed last."""
    child = await start_child("print('no memory'); raise SystemExit(3)")

    assert "exited with code 3; its last lines:\n  no memory" == str(await child.wait_exit())


async def test_reports_the_signal_by_name(start_child: StartChild) -> None:
    """A child that a signal ended is reported with the signal's name."""
    child = await start_child("import os; os.kill(os.getpid(), 9)")

    assert "was killed by SIGKILL and printed nothing" == str(await child.wait_exit())


async def test_the_cause_is_found_above_the_last_lines(start_child: StartChild) -> None:
    """Other processes of an engine print much about a failure after the one that knows why."""
    program = "import sys; print('ValueError: no room'); [print(line) for line in range(100)]; sys.exit(1)"
    report = await (await start_child(program)).wait_exit()

    assert "exited with code 1: no room; its last lines:" == str(report).splitlines()[0]


async def test_who_was_killed_has_no_cause_of_its_own(start_child: StartChild) -> None:
    """An exception of an earlier request is not why somebody sent SIGKILL."""
    program = "import os; print('ValueError: of a request', flush=True); os.kill(os.getpid(), 9)"
    report = await (await start_child(program)).wait_exit()

    assert "was killed by SIGKILL; its last lines:" == str(report).splitlines()[0]


async def test_hands_on_both_streams(start_child: StartChild, lines: list[tuple[str, str]]) -> None:
    """Each line arrives with the name of its stream."""
    child = await start_child("import sys; print('out'); print('err', file=sys.stderr)")
    await child.wait_exit()

    assert {("stdout", "out"), ("stderr", "err")} == set(lines)


async def test_keeps_the_last_20_lines(start_child: StartChild) -> None:
    """Of many lines the report has the last 20."""
    report = await (await start_child("print(*range(50), sep='\\n')")).wait_exit()

    assert tuple(str(number) for number in range(30, 50)) == report.last_lines


async def test_a_missing_program_is_named() -> None:
    """A command that cannot be executed fails the start with its name and the reason."""
    child = SupervisedChild(ChildCommand(("/nowhere/python", "server.py"), {}), lambda *_: None)

    with pytest.raises(EngineStartError, match="cannot execute /nowhere/python: No such file or directory"):
        await child.start()


async def test_a_program_that_may_not_be_executed_is_named(tmp_path: Path) -> None:
    """A file without the permission to execute it fails the start with that reason."""
    program = tmp_path / "engine"
    program.write_text("#!/bin/sh\n")
    child = SupervisedChild(ChildCommand((str(program),), {}), lambda *_: None)

    with pytest.raises(EngineStartError, match=f"cannot execute {program}: Permission denied"):
        await child.start()


async def test_the_child_leads_its_own_session(start_child: StartChild) -> None:
    """The child is in no process group of ours, so that a terminal's Ctrl-C does not reach it."""
    child = await start_child("import time; time.sleep(600)")
    pid = child.pid or 0

    assert (pid, pid) == (os.getsid(pid), os.getpgid(pid))


async def test_the_child_inherits_no_descriptors(start_child: StartChild, lines: list[tuple[str, str]]) -> None:
    """Only the standard streams are open in the child, while siblings and our own pipes are open here."""
    await start_child("import time; time.sleep(600)")
    code = "import os; print(*[n for n in range(3, 256) if os.path.exists(f'/proc/self/fd/{n}')])"
    await (await start_child(code)).wait_exit()

    assert [("stdout", "")] == lines


async def test_the_environment_reaches_the_child_and_no_command_line(
    start_child: StartChild, lines: list[tuple[str, str]], eventually: Eventually
) -> None:
    """A secret in the environment is not in any process's arguments."""
    code = "import os, time; print(os.environ['SECRET'], flush=True); time.sleep(600)"
    child = await start_child(code, SECRET="s3cr3t-of-this-test")
    await eventually(lambda: bool(lines))
    pids = [child.pid or 0, parent_of(child.pid or 0)]
    arguments = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)  # noqa: ASYNC240  not a disk

    assert ([("stdout", "s3cr3t-of-this-test")], False) == (lines, b"s3cr3t" in arguments)


async def test_stop_lets_a_polite_child_finish(
    start_child: StartChild, lines: list[tuple[str, str]], eventually: Eventually
) -> None:
    """A child that handles SIGTERM has its grace and its own exit code."""
    code = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(7)); print('up', flush=True); time.sleep(600)"
    )
    child = await start_child(code)
    await eventually(lambda: bool(lines))
    await child.stop(grace_s=30)

    assert 7 == (await child.wait_exit()).code


async def test_stop_kills_a_child_that_ignores_sigterm(
    start_child: StartChild, lines: list[tuple[str, str]], eventually: Eventually
) -> None:
    """After the grace comes SIGKILL."""
    child = await start_child(DEAF)
    await eventually(lambda: bool(lines))
    await child.stop(grace_s=0.1)

    assert signal.SIGKILL == (await child.wait_exit()).signal


async def test_a_second_stop_shortens_the_grace(
    start_child: StartChild, lines: list[tuple[str, str]], eventually: Eventually
) -> None:
    """An impatient stop overtakes a patient one, and both return."""
    child = await start_child(DEAF)
    await eventually(lambda: bool(lines))
    async with asyncio.timeout(60):
        await asyncio.gather(child.stop(grace_s=600), child.stop(grace_s=0))

    assert not child.is_running


async def test_stop_ends_a_grandchild_that_left_the_session(
    start_child: StartChild, lines: list[tuple[str, str]], eventually: Eventually, is_alive: IsAlive
) -> None:
    """When `stop` returns, a descendant that called setsid is gone as well."""
    child = await start_child(f"{GRANDCHILD_THAT_LEFT}\ntime.sleep(600)")
    await eventually(lambda: bool(lines))
    grandchild = int(lines[0][1].split()[1])
    await child.stop(grace_s=0.1)

    assert not is_alive(grandchild)


async def test_a_crash_leaves_no_grandchild(
    start_child: StartChild, lines: list[tuple[str, str]], eventually: Eventually, is_alive: IsAlive
) -> None:
    """When a child ends by itself, whatever it had started is killed."""
    child = await start_child(f"{GRANDCHILD_THAT_LEFT}\nelse: os.wait()")
    await eventually(lambda: bool(lines))
    grandchild = int(lines[0][1].split()[1])
    os.kill(child.pid or 0, signal.SIGSEGV)
    await child.wait_exit()

    await eventually(lambda: not is_alive(grandchild))


async def test_everything_dies_with_a_killed_owner(
    start_owner: StartOwner, eventually: Eventually, is_alive: IsAlive
) -> None:
    """SIGKILL of the owner ends a child that ignores SIGTERM and a grandchild that left its session."""
    owner, pids = await start_owner(f"{GRANDCHILD_THAT_LEFT}\n    raise SystemExit\n{DEAF}")
    assert {"child", "grandchild"} == pids.keys()
    owner.kill()
    await owner.wait()

    await eventually(lambda: not any(is_alive(pid) for pid in pids.values()))


async def test_the_child_dies_with_its_warden(
    start_child: StartChild, eventually: Eventually, is_alive: IsAlive
) -> None:
    """SIGKILL of the warden ends the child, and its owner learns of it."""
    child = await start_child(DEAF)
    pid = child.pid or 0
    os.kill(parent_of(pid), signal.SIGKILL)
    report = await child.wait_exit()
    await eventually(lambda: not is_alive(pid))

    assert (None, None, False) == (report.code, report.signal, child.is_running)


async def test_the_child_dies_with_its_warden_though_the_owner_cannot_act(
    start_owner: StartOwner, eventually: Eventually, is_alive: IsAlive
) -> None:
    """SIGKILL of the warden ends the child by itself, with no help from an owner that stands still."""
    owner, pids = await start_owner(DEAF)
    os.kill(owner.pid, signal.SIGSTOP)
    os.kill(parent_of(pids["child"]), signal.SIGKILL)

    await eventually(lambda: not is_alive(pids["child"]))


async def test_a_cancelled_start_leaves_nothing() -> None:
    """Who is cancelled while starting a child has none."""
    before = set(descendants(os.getpid()))  # other tests' processes may be about to end
    child = SupervisedChild(ChildCommand((sys.executable, "-c", DEAF), {}), lambda *_: None)
    task = asyncio.create_task(child.start())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert set() == set(descendants(os.getpid())) - before


@pytest.mark.parametrize("new_event_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
async def test_runs_in_the_event_loop_of_a_side_thread(
    new_event_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """No main thread, signal handler or child watcher is needed: Ray runs replicas in side threads, on uvloop."""

    async def run_child() -> str:
        code = "print('last words'); raise SystemExit(5)"
        child = SupervisedChild(ChildCommand((sys.executable, "-c", code), {}), lambda *_: None)
        await child.start()
        return str(await child.wait_exit())

    def run_thread() -> str:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(run_child())

    assert "exited with code 5; its last lines:\n  last words" == await asyncio.to_thread(run_thread)
