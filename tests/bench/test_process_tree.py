"""The CPU of a tree of processes."""

import os
import subprocess
import sys
import time

from bench.process_tree import TICKS_PER_S, Process, cpu_s, parse_stat, read_processes, tree

TAIL = "0 0 0 0 0 0 0 0 0 " + "100 50 20 30 20 0 1 0 777 0 0"


def test_a_command_name_may_hold_blanks_and_parentheses() -> None:
    """Fields are counted from the last parenthesis, whatever the process calls itself."""
    line = f"42 (a) b (c)) S 7 {TAIL}\n"
    assert Process(pid=42, parent_pid=7, cpu_s=2.0, started_ticks=777) == parse_stat(line, ticks_per_s=100)


def table(*links: tuple[int, int]) -> dict[int, Process]:
    return {pid: Process(pid, parent, 1.0, 0) for pid, parent in links}


def test_a_tree_is_its_root_and_all_descendants() -> None:
    """Neighbours and ancestors are not in it."""
    found = tree(table((1, 0), (2, 1), (3, 2), (4, 3), (5, 1)), [2])
    assert {2, 3, 4} == found


def test_a_tree_without_a_branch_lacks_all_of_the_branch() -> None:
    """What an excluded process has started is excluded, too."""
    found = tree(table((1, 0), (2, 1), (3, 2), (4, 1)), [1], without=[2])
    assert {1, 4} == found


def test_a_root_that_is_gone_has_no_tree() -> None:
    """A process that ended before the look is no error."""
    assert set() == tree(table((1, 0)), [9])


def test_a_process_that_is_gone_counts_nothing() -> None:
    """The sum is over what is in the table."""
    assert 1.0 == cpu_s(table((1, 0)), [1, 9])


def test_cpu_time_of_ended_children_is_counted_in_their_parent() -> None:
    """The sum over a real tree holds what a child used that has already ended."""
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}]); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        processes = read_processes()
        members = tree(processes, [parent.pid])
        parent.communicate("\n")
    assert {parent.pid} == members
    assert cpu_s(processes, members) >= 0.3 - 2 / TICKS_PER_S


def test_a_running_process_is_found_below_its_parent() -> None:
    """The machine's own table has this process with its parent."""
    processes = read_processes()
    assert os.getppid() == processes[os.getpid()].parent_pid
    assert processes[os.getpid()].started_ticks <= time.clock_gettime(time.CLOCK_BOOTTIME) * TICKS_PER_S
