"""
Which replica takes a request: consistent hashing with bounded load. Pure.

Each beginning of a prompt has a home among the replicas, the same for every router that has the same list of them, by
rendezvous hashing: of all replicas the one with the highest score for it. When a replica goes, only what had its home
there moves; when one comes, it takes its share from each of the others. A home that has as much to do as it may is
passed over for the next in the order of the scores, so that what spills meets again there.

How much that is depends on why it has so much. Many requests with one beginning at once are a hot prefix, of which each
replica soon has a copy: they are held to 1.25 times the mean. Many beginnings that happen to have one home are chance,
which passes: as long as it is no more than chance, a conversation that moved would only cost one prefill more.

Source:
    Thaler and Ravishankar, Using name-based mappings to increase hit rates, 1998; Mirrokni, Thorup and Zadimoghaddam,
    Consistent hashing with bounded loads, 2016.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

from router.replicas.registry import WARM_UP_S, Replica, pick_replica

ALWAYS_ROOM = 4
"""Requests that a replica may have whatever the others have, unless their beginning is hot."""
HOT_REQUESTS = 4
"""Requests with one beginning, at once and by way of one router, beyond which it is hot."""
_MIN_WARMTH = 0.25

_BITS = (1 << 64) - 1

Reason = Literal["affine", "spilled", "least_busy", "retry"]


@dataclass(slots=True, frozen=True)
class Pick:
    """
    A replica, and why it: it is the home of the prompt's beginning (`affine`); the home may have no more, is blocked
    or suspected (`spilled`); there is nothing to reuse (`least_busy`); others have failed on the request (`retry`).
    """

    replica: Replica
    reason: Reason


@dataclass(slots=True, frozen=True)
class Beginning:
    """That of a prompt. `num_running` other requests with it are under way."""

    key: int
    num_running: int = 0


def choose_replica(
    replicas: Sequence[Replica], beginning: Beginning | None, tried: Collection[str], now: float, turn: int
) -> Pick | None:
    """
    The replica for a request; None when every replica has been tried.

    `beginning` is None where there is nothing to reuse. The others are as for `pick_replica`.
    """
    if beginning is None:
        replica = pick_replica(replicas, tried, now, turn)
        return None if replica is None else Pick(replica, "retry" if tried else "least_busy")
    key = beginning.key
    ranked = sorted(replicas, key=lambda replica: score(key, replica.hash_seed), reverse=True)
    left = [replica for replica in ranked if replica.replica_id not in tried]
    free = preferred(left, now)
    if not free:
        return None
    limit = hot_limit if beginning.num_running >= HOT_REQUESTS else usual_limit
    replica = _with_room(free, limit(sum(one.load for one in free) + 1, len(free)), now)
    if tried:
        return Pick(replica, "retry")
    return Pick(replica, "affine" if replica is ranked[0] else "spilled")


def preferred(replicas: Sequence[Replica], now: float) -> Sequence[Replica]:
    """
    Those that did not fail just now, and of them those that nobody suspects of standing still, in their order.

    Where all did, or all are suspects, all of them: empty only where `replicas` is.
    """
    free = [replica for replica in replicas if replica.blocked_until <= now] or replicas
    return [replica for replica in free if not replica.is_suspect(now)] or free


def hot_limit(num_requests: int, num_replicas: int) -> int:
    """How many of `num_requests` a replica may have: 1.25 times the mean, and never so few that not all have room."""
    return max(-(-num_requests // num_replicas), num_requests * 5 // (num_replicas * 4))


def usual_limit(num_requests: int, num_replicas: int) -> int:
    """
    The same where no beginning is hot: two standard deviations above the mean.

    Requests that fall on replicas by chance are more than that on one of them in 40.
    """
    mean = num_requests / num_replicas
    return max(ALWAYS_ROOM, int(mean + 2 * sqrt(mean)), hot_limit(num_requests, num_replicas))


def _with_room(ranked: Sequence[Replica], limit: int, now: float) -> Replica:
    """The first that may take one more; where none may, the least busy."""
    for replica in ranked:
        own_limit = limit if replica.max_num_seqs is None else min(limit, replica.max_num_seqs)
        if not replica.is_saturated and replica.load < own_limit * _warmth(replica, now):
            return replica
    return min(ranked, key=lambda replica: (replica.is_saturated, replica.load))


def _warmth(replica: Replica, now: float) -> float:
    """0.25 to 1."""
    return min(1.0, max(_MIN_WARMTH, (now - replica.joined_at) / WARM_UP_S))


def score(key: int, seed: int) -> int:
    """64 bits in which each bit of either has changed half of them: the finaliser of SplitMix64."""
    mixed = key ^ seed
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _BITS
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _BITS
    return mixed ^ mixed >> 31
