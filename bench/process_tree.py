"""CPU time of a tree of processes, from /proc."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Process:
    """
    One process at one moment.

    `cpu_s` is user and system time of all its threads, ended ones too, and of the children that it has waited for.
    A child still running is not in it, so that a sum over a tree counts every second once: while a process lives in
    its own row, afterwards in its parent's.
    """

    pid: int
    parent_pid: int
    cpu_s: float
    started_ticks: int
    """Since the machine's start. A number may be given to another process later; this tells them apart."""


ProcessTable: TypeAlias = dict[int, Process]


def parse_stat(line: str, ticks_per_s: int = TICKS_PER_S) -> Process:
    """
    One line of /proc/PID/stat.

    The command's name is in parentheses and may itself hold blanks and parentheses, so fields are counted from the
    last one.

    Source: proc_pid_stat(5), fields 1, 4, 14 to 17 and 22.
    """
    pid, _, _ = line.partition(" ")
    fields = line[line.rindex(")") + 2 :].split()
    return Process(int(pid), int(fields[1]), sum(map(int, fields[11:15])) / ticks_per_s, int(fields[19]))


def read_processes() -> ProcessTable:
    table: ProcessTable = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                process = parse_stat((entry / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):  # it ended while we were looking
                continue
            table[process.pid] = process
    return table


def tree(table: ProcessTable, roots: Iterable[int], *, without: Iterable[int] = ()) -> set[int]:
    """The roots that live and all their descendants, except the trees below `without`."""
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent_pid, []).append(process.pid)
    excluded = set(without)
    members: set[int] = set()
    pending = [pid for pid in roots if pid in table]
    while pending:
        pid = pending.pop()
        if pid not in members and pid not in excluded:
            members.add(pid)
            pending.extend(children.get(pid, ()))
    return members


def cpu_s(table: ProcessTable, pids: Iterable[int]) -> float:
    return sum(table[pid].cpu_s for pid in pids if pid in table)


def command_line(pid: int) -> str:
    """Arguments joined by blanks, or the title that the process has given itself; empty when it is gone."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
