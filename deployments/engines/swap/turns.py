"""
Whose turn it is on a GPU: what one member of a group does next, by what all of them say. Pure.

Every member decides for itself, from the same board and under its lock, so nobody has to be asked and nobody is missed
when it dies.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a member is. In all but the first its engine has, or may have, memory of the GPU."""

    ASLEEP = "asleep"
    STARTING = "starting"
    """It wakes for the first time, with vLLM for minutes."""
    WAKING = "waking"
    AWAKE = "awake"
    LEAVING = "leaving"
    """It takes no new requests, finishes those that run, and then sleeps."""


_DOES: Final = {
    State.STARTING: "starts for the first time, which may take minutes",
    State.WAKING: "wakes",
    State.AWAKE: "answers",
    State.LEAVING: "finishes what it runs",
}


@dataclass(frozen=True, slots=True)
class Member:
    """
    One replica of a group's model. Moments are in seconds on the node's monotonic clock, which all processes share.

    Attributes:
        may_leave_at: when it has been awake for long enough.
        last_used_at: when a request last began or ended.
        wanted_since: when the oldest request came that waits for it, or its replica; None where neither waits.
        is_new: its engine has not started yet.
        gives_way: it is new, and nobody asks for it: it takes no place that another uses.
        idle_at: when it will have been unused for so long that one that gives way may have its place.
    """

    model: str
    state: State = State.ASLEEP
    may_leave_at: float = 0.0
    last_used_at: float = 0.0
    num_running: int = 0
    wanted_since: float | None = None
    is_new: bool = False
    gives_way: bool = False
    idle_at: float = 0.0

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for it to wake."""
        return self.state is State.ASLEEP and self.wanted_since is not None


def advance(mine: str, members: Mapping[str, Member], max_awake: int, now: float) -> Member:
    """
    The member `mine` as it is from now on.

    Those that are wanted wake in the order in which they began to be wanted, before new ones for which nobody asks.
    While one of them finds no room, the least recently used leaves, of those that have been awake for long enough; one
    that runs nothing before one that does. For one that gives way only those leave that nobody uses.
    """
    me = members[mine]
    wanting = sorted((one.gives_way, one.wanted_since or 0.0, name) for name, one in members.items() if one.is_wanted)
    num_free = max_awake - sum(one.state is not State.ASLEEP for one in members.values())
    if me.is_wanted:
        rank = [name for *_, name in wanting].index(mine)
        return replace(me, state=State.STARTING if me.is_new else State.WAKING) if rank < num_free else me
    num_missing = len(wanting) - max(0, num_free)
    num_urgent = sum(not gives_way for gives_way, *_ in wanting) - max(0, num_free)
    if me.state is State.LEAVING and (num_missing <= 0 or (num_urgent <= 0 and me.num_running)):
        return replace(me, state=State.AWAKE)  # whoever wanted to wake has left, or gives way
    num_leaving = sum(one.state is State.LEAVING for one in members.values())
    leaving = [
        *_next_to_leave(members, now)[: max(0, num_urgent - num_leaving)],
        *_unused(members, now)[: max(0, num_missing - num_leaving)],
    ]
    if me.state is State.AWAKE and mine in leaving:
        return replace(me, state=State.LEAVING)
    return me


def _next_to_leave(members: Mapping[str, Member], now: float) -> list[str]:
    ready = [
        (one.num_running > 0, one.last_used_at, name)
        for name, one in members.items()
        if one.state is State.AWAKE and one.may_leave_at <= now
    ]
    return [name for *_, name in sorted(ready)]


def _unused(members: Mapping[str, Member], now: float) -> list[str]:
    """Of those, the ones that run nothing and have not for a while."""
    return [
        name for name in _next_to_leave(members, now) if not members[name].num_running and members[name].idle_at <= now
    ]


def whom_it_waits_for(mine: str, members: Mapping[str, Member]) -> str:
    """Who has the places that `mine` waits for, for people: models, and what they do; empty where nobody has one."""
    return ", ".join(
        f"{one.model!r} {_DOES[one.state]}"
        for name, one in sorted(members.items())
        if name != mine and one.state is not State.ASLEEP
    )
