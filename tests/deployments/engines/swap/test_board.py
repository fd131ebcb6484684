"""`deployments/engines/swap/board.py`: who is alive, by locks of real processes."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from deployments.engines.contract import ChildCommand
from deployments.engines.supervised_child import SupervisedChild
from deployments.engines.swap.board import Board
from deployments.engines.swap.turns import Member, State


def others_of(board: Board) -> set[str]:
    """Whom a member finds on the board beside itself."""
    found: set[str] = set()

    def look(members: Mapping[str, Member]) -> Member:
        found.update(members)
        return members["me"]

    board.take_turn(Member("m"), look)
    return found - {"me"}


def keep(mine: str, state: State) -> Callable[[Mapping[str, Member]], Member]:
    return lambda members: Member(members[mine].model, state)


async def test_a_place_is_held_until_the_engine_is_gone(tmp_path: Path) -> None:
    """Its replica is gone first, as when it is killed: the engine still has the GPU's memory."""
    me, other = Board(tmp_path, "me"), Board(tmp_path, "other")
    me.join()
    lock = other.join()
    other.take_turn(Member("m"), keep("other", State.AWAKE))
    command = ChildCommand((sys.executable, "-c", "import time; time.sleep(600)"), {}, inherited=(lock,))
    engine = SupervisedChild(command, lambda *_: None)
    await engine.start()
    os.close(lock)
    held_by_engine = others_of(me)
    await engine.stop(grace_s=0)
    assert ({"other"}, set()) == (held_by_engine, others_of(me))


def test_one_that_leaves_is_forgotten(tmp_path: Path) -> None:
    """At once, and its files with it."""
    me, other = Board(tmp_path, "me"), Board(tmp_path, "other")
    me.join()
    other.join()
    other.take_turn(Member("m"), keep("other", State.AWAKE))
    other.leave()
    other.leave()
    assert (set(), []) == (others_of(me), list(tmp_path.glob("other*")))


def test_what_is_decided_is_what_others_read(tmp_path: Path) -> None:
    """All of it."""
    me, other = Board(tmp_path, "me"), Board(tmp_path, "other")
    me.join()
    other.join()
    said = Member("m", State.LEAVING, 1.5, 2.5, 3, 4.5)
    other.take_turn(Member("m"), lambda _: said)
    read: dict[str, Member] = {}

    def look(members: Mapping[str, Member]) -> Member:
        read.update(members)
        return members["me"]

    me.take_turn(Member("m"), look)
    assert said == read["other"]
