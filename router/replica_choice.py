"""
Which replica takes a request: consistent hashing with bounded load. Pure.

Each beginning of a prompt has a home among the replicas, the same for every router that has the same list of them, by
rendezvous hashing: of all replicas the one with the highest score for it. When a replica goes, only what had its home
there moves; when one comes, it takes its share from each of the others. A home that has as much to do as it may is
passed over for the next in the order of the scores, so that what spills meets again there.

Source:
    Thaler and Ravishankar, Using name-based mappings to increase hit rates, 1998; Mirrokni, Thorup and Zadimoghaddam,
    Consistent hashing with bounded loads, 2016.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from router.replicas import Replica, pick_replica

ALWAYS_ROOM = 4
"""Requests that a replica may have whatever the others have: fewer side by side cost a GPU next to nothing."""
WARM_UP_S = 30.0
"""How long a replica that joins others is given less than its share, in seconds: its KV cache is empty."""
_MIN_WARMTH = 0.25

_BITS = (1 << 64) - 1

Reason = Literal["affine", "spilled", "least_busy", "retry"]


@dataclass(slots=True, frozen=True)
class Pick:
    """
    A replica, and why it: it is the home of the prompt's beginning (`affine`); the home may have no more, or is
    blocked (`spilled`); there is nothing to reuse (`least_busy`); others have failed on the request (`retry`).
    """

    replica: Replica
    reason: Reason


def choose_replica(
    replicas: Sequence[Replica], key: int | None, tried: Collection[str], now: float, turn: int
) -> Pick | None:
    """
    The replica for a request whose beginning is `key`; None when every replica has been tried.

    `key` is None where there is nothing to reuse. The others are as for `pick_replica`.
    """
    if key is None:
        replica = pick_replica(replicas, tried, now, turn)
        return None if replica is None else Pick(replica, "retry" if tried else "least_busy")
    ranked = sorted(replicas, key=lambda replica: _score(key, replica.hash_seed), reverse=True)
    left = [replica for replica in ranked if replica.replica_id not in tried]
    free = [replica for replica in left if replica.blocked_until <= now] or left
    if not free:
        return None
    replica = _with_room(free, now)
    if tried:
        return Pick(replica, "retry")
    return Pick(replica, "affine" if replica is ranked[0] else "spilled")


def max_load(num_requests: int, num_replicas: int) -> int:
    """
    How many of `num_requests` one replica may have: 1.25 times the mean, or `ALWAYS_ROOM` where that is more.

    Never less than what makes room for all of them.
    """
    return max(ALWAYS_ROOM, -(-num_requests // num_replicas), num_requests * 5 // (num_replicas * 4))


def _with_room(ranked: Sequence[Replica], now: float) -> Replica:
    """The first that may take one more; where none may, the least busy."""
    limit = max_load(sum(replica.load for replica in ranked) + 1, len(ranked))
    for replica in ranked:
        if not replica.is_saturated and replica.load < limit * _warmth(replica, now):
            return replica
    return min(ranked, key=lambda replica: (replica.is_saturated, replica.load))


def _warmth(replica: Replica, now: float) -> float:
    """0.25 to 1."""
    return min(1.0, max(_MIN_WARMTH, (now - replica.joined_at) / WARM_UP_S))


def _score(key: int, seed: int) -> int:
    """64 bits in which each bit of either has changed half of them: the finaliser of SplitMix64."""
    mixed = key ^ seed
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _BITS
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _BITS
    return mixed ^ mixed >> 31
