"""Whose replicas a router follows: those of the model table, and for a while those of the one before it. Pure."""

from collections.abc import Collection


class Followed:
    """
    Requests keep the table that they began with. One that waits for its turn, or whose engine is lost, is still to find
    the replicas that this table leads to, although a newer one does not name them any more.

    Args:
        grace_s: how long a request may have a table before it is seen in `in_use`, in seconds: it may still be read.
    """

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._applications: frozenset[str] = frozenset()
        self._left_at: dict[str, float] = {}

    def change(self, applications: frozenset[str], now: float) -> frozenset[str]:
        """The table names these from `now` on, in monotonic seconds. Returns those that were not followed before."""
        new = applications - self._applications - self._left_at.keys()
        self._left_at.update(dict.fromkeys(self._applications - applications, now))
        for application in applications & self._left_at.keys():
            del self._left_at[application]
        self._applications = applications
        return new

    def release(self, in_use: Collection[str], now: float) -> list[str]:
        """Those that nobody needs any more. `in_use` are those to which requests under way may yet be sent."""
        oldest = now - self._grace_s
        released = [name for name, left_at in self._left_at.items() if left_at <= oldest and name not in in_use]
        for application in released:
            del self._left_at[application]
        return released

    @property
    def is_settled(self) -> bool:
        """Whether only those are followed that the table names."""
        return not self._left_at
