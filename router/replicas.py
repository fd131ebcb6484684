"""Where the models' replicas are, and how each of them is doing, as this router sees it."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from configs.engine import Task

BLOCKED_AFTER_FAILURE_S = 1.0
"""How long a replica that could not be reached is passed over, in seconds. By then Serve has noticed its death."""


@dataclass(slots=True, eq=False)
class Replica:
    """
    One engine replica: its address, and this router's own count of what it does.

    `secret` is the key that the engine asks of its clients. `max_model_len` is in tokens; None where unknown.
    """

    replica_id: str
    model: str
    host: str
    port: int
    secret: str = field(repr=False)
    engine: str
    profile: str
    max_model_len: int | None = None
    task: Task = "generate"
    fingerprint: str = ""
    """Of everything that makes the engine's answers what they are; replicas with the same one say the same."""
    max_num_seqs: int | None = None
    """Requests that the engine runs at once; None where it does not say."""
    num_running: int = 0
    """Requests of this router that the replica is answering."""
    blocked_until: float = 0.0
    """Loop time, in seconds, before which the replica is only tried when no other is left."""


class ReplicaDirectory:
    """
    The replicas of each application, as Serve last said. Belongs to one event loop.

    Known replicas keep their object, and so their counts, when Serve's list changes around them.
    """

    def __init__(self) -> None:
        self._replicas: dict[str, tuple[Replica, ...]] = {}
        self._change = asyncio.Event()

    def update(self, application: str, replicas: Iterable[Replica]) -> tuple[Replica, ...]:
        """Take over Serve's list. Returns the replicas that are no longer in it."""
        known = {replica.replica_id: replica for replica in self.of(application)}
        current = tuple(known.pop(replica.replica_id, replica) for replica in replicas)
        self._replicas[application] = current
        self._change.set()
        self._change = asyncio.Event()
        return tuple(known.values())

    def of(self, *applications: str) -> tuple[Replica, ...]:
        """The replicas of one application, or of several in their order."""
        if len(applications) == 1:
            return self._replicas.get(applications[0], ())
        return tuple(replica for name in applications for replica in self._replicas.get(name, ()))

    def fingerprint(self, application: str) -> str | None:
        """That of all replicas of an application; None while they differ, as in an update, or there are none."""
        found = {replica.fingerprint for replica in self.of(application)}
        return found.pop() if len(found) == 1 else None

    async def changed(self) -> None:
        """Wait for Serve's next word on any replica."""
        await self._change.wait()

    def all(self) -> Iterator[Replica]:
        for replicas in self._replicas.values():
            yield from replicas


def pick_replica(replicas: Sequence[Replica], tried: Collection[str], now: float, turn: int) -> Replica | None:
    """
    The least busy replica that has not been tried; one that failed just now only when no other is left.

    None when every replica has been tried. `now` is loop time, in seconds. `turn` says where to begin among
    replicas that are equally busy: a number that grows with each request gives each of them its share.
    """
    first = turn % len(replicas) if replicas else 0
    candidates = [r for r in (*replicas[first:], *replicas[:first]) if r.replica_id not in tried]
    if not candidates:
        return None
    return min(candidates, key=lambda replica: (replica.blocked_until > now, replica.num_running))
