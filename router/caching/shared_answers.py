"""The answers that requests share: those that are kept, and those that are being made."""

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import orjson

from cache.entry import Entry
from cache.keys import Key, NotCacheable, make_key
from cache.leases import Holder, Lease, Leases
from cache.opening import open_store
from cache.store import EVERYTHING, Store, StoreStats
from configs.cache import CachePolicy, CacheSettings
from configs.router import RequestSettings
from router.caching.controls import Controls
from router.caching.flight import Flight, Follower
from router.caching.identity import identity_of, is_deterministic
from router.caching.place import Place
from router.caching.transcripts import NotAnAnswer, is_keepable, stream_from_whole, whole_from_stream
from router.call import Call
from router.errors import ClientDisconnected, ServingError
from router.http.answer import Answer, AnswerSink
from router.http.event_stream import Usage
from router.models.table import Model
from router.outcomes import outcome_of
from router.replicas.registry import Replica

logger = logging.getLogger("enginehouse.router")


@dataclass(slots=True, frozen=True)
class Sharing:
    """How one request may share its answer. `fingerprint` is that of the engine that must make it."""

    model: str
    key: Key
    fingerprint: str
    controls: Controls
    policy: CachePolicy
    requests: RequestSettings


def decide_sharing(
    call: Call, model: Model, controls: Controls, tenant: str, fingerprint: str | None
) -> Sharing | None:
    """None where the request gets an answer of its own, which nobody else will get."""
    policy = model.cache
    if policy.mode == "off" or controls.is_wanted is False or not (controls.may_read or controls.may_write):
        return None
    is_kept_anyway = policy.mode == "always" or is_deterministic(call)
    if fingerprint is None or not (is_kept_anyway or controls.is_wanted):
        return None
    owner = tenant if policy.shared_by == "key" else ""
    try:
        identity = identity_of(call, model, fingerprint, owner, controls.namespace)
        in_namespace = (f"namespace:{controls.namespace}",) if controls.namespace else ()
        key = make_key(identity, (f"model:{model.name}", *in_namespace))  # type: ignore[arg-type]  # it came out of JSON
    except NotCacheable:
        return None
    return Sharing(model.name, key, fingerprint, controls, policy, model.requests)


class Making(Protocol):
    """What makes an answer: an engine, with or without others' requests beside this one, or another router."""

    @property
    def usage(self) -> Usage | None: ...

    @property
    def replica(self) -> Replica | None: ...

    @property
    def is_pausing(self) -> bool:
        """Whether clients have a part of the answer, and get no more of it at the moment."""

    async def run(self) -> None: ...


class SharedAnswers:
    """Belongs to one event loop. `max_entry_bytes` bounds what is kept, and what a late follower can be told."""

    def __init__(self, store: Store, max_entry_bytes: int) -> None:
        self._store = store
        self.max_entry_bytes = max_entry_bytes
        self.place: Place | None = None
        """Where other routers follow what is made here. None while they cannot."""
        self._flights: dict[tuple[bytes, bool], Flight] = {}
        self._tasks: dict[Flight, asyncio.Task[None]] = {}
        self._groups: dict[Flight, tuple[str, ...]] = {}
        self._makings: dict[Flight, Making] = {}
        self._claims: dict[tuple[bytes, bool], asyncio.Task[Lease | Holder | None]] = {}
        self._leases: dict[Flight, Lease] = {}

    @classmethod
    def open(cls, settings: CacheSettings, environment: Mapping[str, str]) -> Self:
        """
        With the store that the settings describe, on the running event loop.

        Raises:
            BadSecret: an environment variable that the settings name is not set, or holds too little.
        """
        return cls(open_store(settings, environment), settings.max_entry_bytes)

    @property
    def has_peers(self) -> bool:
        """Whether other routers can have the same store."""
        return self._store.leases is not None

    async def look_up(self, sharing: Sharing) -> Entry | None:
        """A kept answer that is not too old for the client."""
        if not sharing.controls.may_read:
            return None
        entry = await self._store.get(sharing.key)
        max_age_s = sharing.controls.max_age_s
        return None if entry is None or (max_age_s is not None and entry.age_s() > max_age_s) else entry

    def flight(self, sharing: Sharing, call: Call) -> Flight | None:
        """A generation of the same answer, in the same form, that is under way."""
        return self._joinable((sharing.key.digest, call.wants_stream)) if sharing.controls.may_read else None

    async def under_way(self, digest: bytes, is_stream: bool) -> Flight | None:  # noqa: FBT001 - half of a key
        """For another router: what this one said in a lease that it makes."""
        place = (digest, is_stream)
        if place in self._claims:
            await asyncio.wait([self._claims[place]])
            await asyncio.sleep(0)  # whoever asked for it launches now
        return self._joinable(place)

    async def claim(
        self, sharing: Sharing, call: Call, instead_of: Holder | None = None
    ) -> Lease | Holder | Entry | None:
        """
        Become the one router that makes this answer, or learn which one does, or what it has made by now.

        None: each makes its own.

        Args:
            instead_of: whoever was said to make it, and does not.
        """
        leases, place = self._store.leases, self.place
        if leases is None or place is None or not (sharing.controls.may_read and sharing.controls.may_write):
            return None
        what = (sharing.key.digest, call.wants_stream)
        asking = self._claims.get(what)
        if asking is None:
            asking = asyncio.get_running_loop().create_task(self._claim(leases, place, sharing.key, what, instead_of))
            self._claims[what] = asking
            asking.add_done_callback(lambda _: self._claims.pop(what))
        claim = await asyncio.shield(asking)
        if isinstance(claim, Lease) and claim.has_entry:
            entry = await self.look_up(sharing)
            if entry is not None:
                leases.release(claim)
                return entry
        return claim

    def hold(self, flight: Flight, lease: Lease) -> None:
        """Keep a lease for as long as the flight lasts."""
        if self._store.leases is not None:
            self._leases[flight] = lease
            self._store.leases.hold(lease)

    def launch(self, flight: Flight, making: Making, sharing: Sharing, call: Call) -> None:
        """Make the answer, which `making` writes to `flight`. It ends when it is over, or nobody follows any more."""
        place = (sharing.key.digest, call.wants_stream)
        self._flights[place] = flight
        task = asyncio.get_running_loop().create_task(self._fly(flight, making, sharing, call))
        self._tasks[flight] = task
        self._groups[flight] = sharing.key.groups
        self._makings[flight] = making

        def landed(_: asyncio.Task[None]) -> None:
            del self._tasks[flight], self._groups[flight], self._makings[flight]
            self._release(flight)
            if self._flights.get(place) is flight:
                del self._flights[place]

        task.add_done_callback(landed)

    def leave(self, flight: Flight, follower: Follower) -> None:
        """A client is gone, or has all of it. The engine stops when it was the last one."""
        flight.leave(follower)
        task = self._tasks.get(flight)
        if task is not None and flight.num_followers == 0 and not flight.is_complete:
            flight.is_joinable = False
            task.cancel()

    def is_pausing(self, flight: Flight) -> bool:
        """Whether its clients have a part of the answer, and get no more of it at the moment."""
        making = self._makings.get(flight)
        return making is not None and making.is_pausing

    async def purge(self, model: str | None, namespace: str | None) -> int:
        """
        Forget the kept answers of a model, or of a namespace, or all. Returns how many there were.

        Those that are being made are given to who waits for them, and to nobody else.

        Raises:
            StoreUnavailable: the store could not be asked.
        """
        named = None if namespace is None else f"namespace:{namespace}"
        group = named if model is None else f"model:{model}"
        for flight, groups in self._groups.items():
            if group is None or group in groups:
                flight.is_joinable = False
        return await self._store.purge(EVERYTHING if group is None else group)

    async def stats(self) -> StoreStats:
        return await self._store.stats()

    async def close(self) -> None:
        tasks = (*self._tasks.values(), *self._claims.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._store.close()

    def _joinable(self, what: tuple[bytes, bool]) -> Flight | None:
        flight = self._flights.get(what)
        return flight if flight is not None and flight.is_joinable and not flight.is_complete else None

    async def _claim(
        self, leases: Leases, place: Place, key: Key, what: tuple[bytes, bool], instead_of: Holder | None
    ) -> Lease | Holder | None:
        variant = "stream" if what[1] else "whole"
        claim = await leases.claim(key, variant, place.note(), instead_of)
        if isinstance(claim, Holder) and what not in self._flights and Place.read(claim.note) == place:
            # ours, of a flight that is over: its release is on the way
            claim = await leases.claim(key, variant, place.note(), claim)
        return claim

    def _release(self, flight: Flight) -> None:
        lease = self._leases.pop(flight, None)
        if lease is not None and self._store.leases is not None:
            self._store.leases.release(lease)

    async def _fly(self, flight: Flight, making: Making, sharing: Sharing, call: Call) -> None:
        error: ServingError | ClientDisconnected | None = ClientDisconnected()  # unless it comes to an end
        try:
            error = await outcome_of(making.run(), "a shared generation")
        finally:
            flight.account.record_gaps()
            flight.account.count_tokens(making.usage)
            flight.end(error)
        if error is None and making.replica is not None and making.replica.fingerprint == sharing.fingerprint:
            await self._keep(flight, sharing, call)

    async def _keep(self, flight: Flight, sharing: Sharing, call: Call) -> None:
        said = flight.kept
        if said is None or not sharing.controls.may_write:
            return
        policy = sharing.policy
        try:
            document = whole_from_stream(said, is_chat=call.route.is_chat) if flight.is_stream else orjson.loads(said)
        except (NotAnAnswer, orjson.JSONDecodeError) as error:
            logger.warning("an answer is not kept, for it cannot be put together: %s", error)
            return
        if call.route.task == "generate" and not is_keepable(document, keep_truncated=policy.keep_truncated):
            return
        ttl_s = policy.ttl_s * random.uniform(1 - policy.ttl_jitter_ratio, 1 + policy.ttl_jitter_ratio)  # noqa: S311 - no secret
        payload = orjson.dumps(document) if flight.is_stream else said
        await self._store.put(sharing.key, Entry.now(payload, ttl_s))


def replay(entry: Entry, call: Call, answer: Answer) -> None:
    """Give a kept answer again, in the form that the client asked for."""
    answer.add_header(b"age", str(int(entry.age_s())).encode())
    give(entry, answer, is_stream=call.wants_stream, wants_usage=call.wants_usage)


def give(entry: Entry, sink: AnswerSink, *, is_stream: bool, wants_usage: bool) -> None:
    """A kept answer, as if an engine gave it."""
    if is_stream:
        events = stream_from_whole(orjson.loads(entry.payload), wants_usage=wants_usage)
        sink.start_stream()
        sink.write(events, is_last=True)
    else:
        sink.send_whole(200, entry.payload)
