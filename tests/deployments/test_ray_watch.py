"""What a command does when Ray dies beneath it, with processes that are none of Ray's."""

import queue
import subprocess
import sys

import psutil
import pytest

from deployments.ray_watch import kill_sessions, watching

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("name", ["raylet", "gcs_server"])
def test_what_ray_needs_is_watched(name: str) -> None:
    """The first that ends is told with its exit code."""
    told: queue.Queue[tuple[str, int]] = queue.Queue()
    processes = {one: [subprocess.Popen(SLEEP)] for one in ("raylet", "gcs_server")}
    with watching(processes, lambda *ending: told.put(ending)):
        processes[name][0].kill()
        assert (name, -9) == told.get(timeout=60)
        _end(processes)
    assert told.empty()


def test_the_rest_of_ray_is_not_needed() -> None:
    """Neither its dashboard, nor what ends after the watch."""
    told: queue.Queue[tuple[str, int]] = queue.Queue()
    processes = {one: [subprocess.Popen(SLEEP)] for one in ("raylet", "gcs_server", "dashboard")}
    with watching(processes, lambda *ending: told.put(ending)):
        processes["dashboard"][0].kill()
        with pytest.raises(queue.Empty):
            told.get(timeout=2.5)
    _end(processes)
    assert told.empty()


def test_whoever_is_left_of_a_session_ends() -> None:
    """A child whose parent has died, as replicas of a raylet; nobody else."""
    with subprocess.Popen([sys.executable, "-c", PARENT], start_new_session=True, stdout=subprocess.PIPE) as parent:
        other = subprocess.Popen(SLEEP)
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        assert _is_alive(child)
        kill_sessions({parent.pid})
        assert b"" == parent.stdout.read(), "the child had it open, too, and has ended"
        assert other.poll() is None
        other.kill()
        other.wait()


def _is_alive(pid: int) -> bool:
    return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def _end(processes: dict[str, list["subprocess.Popen[bytes]"]]) -> None:
    for (process,) in processes.values():
        process.kill()
        process.wait()
