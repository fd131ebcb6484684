"""
What the members of a group say of themselves, in files of their node: a GPU is shared by processes of one node only.

A member lives as long as somebody holds the lock of its file: its replica, and the engine's process with its warden,
which inherit the open file. The kernel gives a lock back when its last holder is gone, whatever ended it. So the place
of one that was killed becomes free when its engine is gone, and not before.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

import orjson

from deployments.engines.swap.turns import Member, State

Choose: TypeAlias = Callable[[Mapping[str, Member]], Member]
"""Given all members by id, the caller's own as it is from now on."""

_MUTEX = "mutex"
_MEMBERS = "members.json"
_LOCK_SUFFIX = ".lock"


class Board:
    """
    One member's view of its group. Blocks for a moment where others are at it; each call belongs into a thread.

    Args:
        folder: of the group on this node and GPU; made where it is missing.
        member_id: unlike any other's, and good for a file's name.
    """

    def __init__(self, folder: Path, member_id: str) -> None:
        self._folder = folder
        self._id = member_id
        self._lock: int | None = None

    def join(self) -> int:
        """From now on the member counts as alive. Returns the descriptor for the engine's process to inherit."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._mutex():
            lock = os.open(self._lock_file(self._id), os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
        self._lock = lock
        return lock

    def take_turn(self, mine: Member, choose: Choose) -> Member:
        """
        Says what the member is now, and what it is from now on, which `choose` decides with what all others say. Nobody
        else decides meanwhile. The dead are forgotten first.
        """
        with self._mutex():
            before = self._read()
            members = {name: one for name, one in before.items() if name == self._id or self._is_alive(name)}
            members[self._id] = mine
            members[self._id] = choose(members)
            if members != before:
                self._write(members)
            return members[self._id]

    def leave(self) -> None:
        """The member is no more, which the others see by its lock; its engine must be gone. May be called again."""
        if self._lock is None:
            return
        self._lock_file(self._id).unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None

    @contextmanager
    def _mutex(self) -> Iterator[None]:
        file = os.open(self._folder / _MUTEX, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def _is_alive(self, name: str) -> bool:
        path = self._lock_file(name)
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        path.unlink(missing_ok=True)
        return False

    def _read(self) -> dict[str, Member]:
        with suppress(FileNotFoundError):
            said = orjson.loads((self._folder / _MEMBERS).read_bytes())
            return {name: Member(**{**one, "state": State(one["state"])}) for name, one in said.items()}
        return {}

    def _write(self, members: Mapping[str, Member]) -> None:
        """In one step: a process that is killed here leaves the one text or the other."""
        draft = self._folder / f"{_MEMBERS}.new"
        draft.write_bytes(orjson.dumps({name: asdict(one) for name, one in members.items()}))
        draft.replace(self._folder / _MEMBERS)

    def _lock_file(self, name: str) -> Path:
        return self._folder / f"{name}{_LOCK_SUFFIX}"
