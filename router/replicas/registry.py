"""Where the models' replicas are, and how each of them is doing, as this router sees it."""

import asyncio
import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from configs.engine import Task
from configs.roles import RoleRefusal
from router.fim.template import UNKNOWN, FimTemplate
from router.reliability.breaker import Breaker
from router.reliability.suspicion import Suspicion
from router.replicas.statement import NOTHING_SAID, Statement

WARM_UP_S = 30.0
"""How long a replica that joins warm ones is given less than its share, in seconds: its KV cache is empty."""
SATURATED_KV_CACHE_RATIO = 0.95
"""Share of a KV cache in use from which an engine is about to put running requests off."""
MAX_FIGURES_AGE_S = 5.0
"""How long a replica's own figures count without new ones, in seconds; it gives new ones each second."""


@dataclass(slots=True, frozen=True)
class Figures:
    """What a replica said of its engine. `number` grows with each time."""

    number: int
    num_running: int
    num_waiting: int
    kv_cache_usage_ratio: float | None


@dataclass(slots=True, frozen=True)
class Doubt:
    """That a replica is well, of one router. Each of the two reasons for it may be there without the other."""

    replica_id: str
    model: str
    is_failing: bool
    """It was lost, or failed again and again."""
    may_stand_still: bool


class Prefill(Protocol):
    """A request that an engine begins with by reading its prompt."""

    @property
    def is_over(self) -> bool:
        """Whether the answer has begun."""


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
    """Requests that the engine runs at once, where that is known; more wait."""
    has_priorities: bool = False
    """The engine takes requests by their `priority`."""
    statement: Statement = NOTHING_SAID
    """What the engine says of its model."""
    fim: str = ""
    """How its model fills in the middle, as `FimTemplate.encode` writes it; empty where nobody says."""
    role_refusals: tuple[RoleRefusal, ...] = ()
    """What its model's chat template does not take, as far as that is known."""
    application: str = ""
    """The one that it is a replica of."""
    num_running: int = 0
    """Requests of this router that the replica is answering."""
    num_completions: int = 0
    """Those of them that are completions in editors."""
    prefills: "dict[Prefill, int]" = field(default_factory=dict, repr=False)
    """Requests of this router that it has, each with its size in bytes."""
    breaker: Breaker = field(default_factory=Breaker, repr=False)
    suspicion: Suspicion = field(default_factory=Suspicion, repr=False)
    joined_at: float = -math.inf
    """Loop time, in seconds, at which it joined replicas that were warm: those that begin together are equals."""
    known_since: float = 0.0
    """Loop time, in seconds, at which this router first heard of it."""
    num_elsewhere: int = 0
    """Requests in the engine that are not of this router, by the replica's own figures."""
    num_waiting: int = 0
    """Requests that wait inside the engine, whoever sent them, by the same figures."""
    is_saturated: bool = False
    """By the same figures: requests wait in the engine, or its KV cache is full."""
    hash_seed: int = field(init=False, repr=False)
    """64 bits that stand for its id."""
    template: FimTemplate = field(init=False, repr=False)
    """`fim`, read. Where nobody says, its engine is asked with what the client sent."""
    _num_slots_now: int | None = field(default=None, repr=False)
    """Requests that it ran when its KV cache was full and others waited: it has no room for more."""
    _num_running_most: int = field(default=0, repr=False)
    """The most at once since the figures before."""
    _figures: Figures | None = field(default=None, repr=False)
    _figures_at: float = field(default=0.0, repr=False)
    _heard_at: float = field(default=-math.inf, repr=False)
    """Loop time, in seconds, at which its engine last said a part of an answer to this router."""

    def __post_init__(self) -> None:
        self.hash_seed = int.from_bytes(hashlib.blake2b(self.replica_id.encode(), digest_size=8).digest(), "little")
        self.template = FimTemplate.decode(self.fim) if self.fim else UNKNOWN

    @property
    def blocked_until(self) -> float:
        """Loop time, in seconds, before which the replica is only tried when no other is left."""
        return self.breaker.blocked_until

    def is_suspect(self, now: float) -> bool:
        """Whether it is thought to stand still. `now` is loop time, in seconds."""
        return self.suspicion.until > now

    @property
    def doubt(self) -> Doubt | None:
        """None where it is thought to be well."""
        is_failing, may_stand_still = not self.breaker.is_closed, self.suspicion.is_pending
        if is_failing or may_stand_still:
            return Doubt(self.replica_id, self.model, is_failing, may_stand_still)
        return None

    @property
    def load(self) -> int:
        """Requests in the engine, whoever sent them."""
        return self.num_running + self.num_elsewhere

    @property
    def num_slots(self) -> int | None:
        """Requests that the engine can run at once now; None where that is not known."""
        if self.max_num_seqs is None or self._num_slots_now is None:
            return self.max_num_seqs
        return min(self.max_num_seqs, self._num_slots_now)

    @property
    def num_prefill_bytes(self) -> int:
        """Size of those of this router's requests whose answer has not begun, in bytes."""
        return sum(num_bytes for prefill, num_bytes in self.prefills.items() if not prefill.is_over)

    def begin(self, *, is_completion: bool = False) -> None:
        """One more request of this router is in its hands, or on the way there, until `end`."""
        self.num_running += 1
        self.num_completions += is_completion
        self._num_running_most = max(self._num_running_most, self.num_running)

    def end(self, *, is_completion: bool = False) -> None:
        self.num_running -= 1
        self.num_completions -= is_completion

    def hear(self, at: float) -> None:
        """At that moment, in loop time, its engine said a part of an answer."""
        self._heard_at = max(self._heard_at, at)
        self.suspicion.heard(at)

    def is_silent(self, now: float) -> bool:
        """Whether it gave figures once, and now says nothing of any kind. `now` is loop time, in seconds."""
        return self._figures is not None and now - max(self._figures_at, self._heard_at) > MAX_FIGURES_AGE_S

    def take_over_figures(self, figures: Figures | None, now: float) -> bool:
        """
        Called once a second. `figures` are the last ones, None where there are none; `now` is loop time, in seconds.

        They may be a second old, so this router's part of them is what it had at the most in that second.

        Returns:
            Whether they are new.
        """
        num_own = max(self.num_running, self._num_running_most)
        self._num_running_most = self.num_running
        is_new = figures is not None and figures != self._figures
        if figures is not None and is_new:
            self.suspicion.answered(was_silent=now - self._figures_at > MAX_FIGURES_AGE_S)
            self._figures, self._figures_at = figures, now
            self.num_elsewhere = max(0, figures.num_running + figures.num_waiting - num_own)
            self.num_waiting = figures.num_waiting
            usage_ratio = figures.kv_cache_usage_ratio
            is_full = usage_ratio is not None and usage_ratio >= SATURATED_KV_CACHE_RATIO
            self.is_saturated = figures.num_waiting > 0 or is_full
            self._num_slots_now = max(1, figures.num_running) if is_full and figures.num_waiting else None
        elif now - self._figures_at > MAX_FIGURES_AGE_S:
            self.num_elsewhere, self.num_waiting, self.is_saturated, self._num_slots_now = 0, 0, False, None
        return is_new


class ReplicaDirectory:
    """
    The replicas of each application, as Serve last said. Belongs to one event loop.

    Known replicas keep their object, and so their counts, when Serve's list changes around them.
    """

    def __init__(self) -> None:
        self._replicas: dict[str, tuple[Replica, ...]] = {}
        self._applications: dict[str, str] = {}
        """By replica id."""
        self._fingerprints: dict[str, str | None] = {}
        self._last: dict[str, tuple[Replica, ...]] = {}
        self._change = asyncio.Event()

    def update(self, application: str, replicas: Iterable[Replica], now: float = 0.0) -> tuple[Replica, ...]:
        """Take over Serve's list at `now`, in loop time. Returns the replicas that are no longer in it."""
        before = self.of(application)
        known = {replica.replica_id: replica for replica in before}
        has_warm = any(now - replica.known_since >= WARM_UP_S for replica in before)
        current = tuple(known.pop(replica.replica_id, replica) for replica in replicas)
        for replica in current:
            if replica not in before:
                replica.application = application
                replica.known_since = now
                replica.joined_at = now if has_warm else -math.inf
        self._replicas[application] = current
        self._applications = {one.replica_id: name for name, those in self._replicas.items() for one in those}
        if current:
            self._last[application] = current
            found = {replica.fingerprint for replica in current}
            self._fingerprints[application] = found.pop() if len(found) == 1 else None
        self._change.set()
        self._change = asyncio.Event()
        return tuple(known.values())

    def of(self, *applications: str) -> tuple[Replica, ...]:
        """The replicas of one application, or of several in their order."""
        if len(applications) == 1:
            return self._replicas.get(applications[0], ())
        return tuple(replica for name in applications for replica in self._replicas.get(name, ()))

    def last_of(self, *applications: str) -> tuple[Replica, ...]:
        """As `of`, and of an application that has none now, those that it had last: what they said is still true."""
        return tuple(replica for name in applications for replica in self.of(name) or self._last.get(name, ()))

    def fingerprint(self, application: str) -> str | None:
        """
        That of all replicas of an application, the last ones where it has none now.

        None while they differ, as in an update, or there have been none.
        """
        return self._fingerprints.get(application)

    def application_of(self, replica_id: str) -> str | None:
        """None once Serve's list has it no longer."""
        return self._applications.get(replica_id)

    def take_over_figures(self, figures: Mapping[str, Figures], now: float) -> list[Replica]:
        """
        What the replicas last said of themselves, by replica id. `now` is loop time, in seconds.

        One that is silent while others give figures is suspected: when all are, nobody brings any.

        Returns:
            Those that are passed over from now on, or for longer.
        """
        is_any_new = False
        for replica in self.all():
            is_any_new |= replica.take_over_figures(figures.get(replica.replica_id), now)
        if not is_any_new:
            return []
        return [replica for replica in self.all() if replica.is_silent(now) and replica.suspicion.suspect(now)]

    async def changed(self) -> None:
        """Wait for Serve's next word on any replica."""
        await self._change.wait()

    def all(self) -> Iterator[Replica]:
        for replicas in self._replicas.values():
            yield from replicas


def pick_replica(replicas: Sequence[Replica], tried: Collection[str], now: float, turn: int) -> Replica | None:
    """
    The least busy replica that has not been tried; one that failed just now only when no other is left, and one that is
    suspected of standing still only before those.

    None when every replica has been tried. `now` is loop time, in seconds. `turn` says where to begin among
    replicas that are equally busy: a number that grows with each request gives each of them its share.
    """
    if len(replicas) == 1:
        return None if replicas[0].replica_id in tried else replicas[0]
    first = turn % len(replicas) if replicas else 0
    candidates = [r for r in (*replicas[first:], *replicas[:first]) if r.replica_id not in tried]
    if not candidates:
        return None
    return min(candidates, key=lambda one: (one.blocked_until > now, one.is_suspect(now), one.is_saturated, one.load))
