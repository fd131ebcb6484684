"""An answer that another router makes; made here from where its clients are, should that router be lost."""

import logging
from functools import partial
from typing import Final, cast

from cache.entry import Entry
from cache.leases import Holder, Lease
from router.caching.flight import Flight
from router.caching.leading import Leading, take
from router.caching.place import Place, flight_path
from router.caching.shared_answers import SharedAnswers, Sharing, give
from router.call import Call
from router.errors import InvalidRequest
from router.exchange import Exchange
from router.fitting.profiles import PROFILES
from router.http.answer import AnswerSink
from router.http.event_stream import Usage
from router.replicas.registry import Replica
from router.replicas.upstream import ConnectFailed, ConnectionPool
from router.state import RouterState

logger = logging.getLogger("enginehouse.router")

_MAX_LEADERS: Final = 4
"""Routers that are followed, one after another. Then the answer is made here, whoever else makes it."""

_MAX_CONNECT_S: Final = 1.0
"""Longest time to connect to another router, in seconds: it is near, and its answer can be had elsewhere."""


class _LeaderLost(Exception):
    """The other router cannot be reached, does not make the answer any more, or broke off."""


class Joining:
    """A `Making`: follows `holder`, and whoever takes over from it; is `own` when nobody else leads."""

    def __init__(
        self,
        state: RouterState,
        sharing: Sharing,
        call: Call,
        flight: Flight,
        own: Leading,
        holder: Holder,
    ) -> None:
        self._state = state
        self._limits = sharing.requests
        self._shared = cast("SharedAnswers", state.shared_answers)  # whoever has a holder shares answers
        self._sharing = sharing
        self._call = call
        self._flight = flight
        self._own = own
        self._holder = holder
        self._exchange: Exchange | None = None
        self._leads = False

    @property
    def usage(self) -> Usage | None:
        """Of what was made here: the other router counts what it makes."""
        return self._own.usage if self._leads else None

    @property
    def replica(self) -> Replica | None:
        return self._own.replica if self._leads else None

    @property
    def is_pausing(self) -> bool:
        return self._leads and self._own.is_pausing

    async def run(self) -> None:
        """
        Returns when the answer is over.

        Raises:
            ServingError: there is none, or only a part of one.
            ClientDisconnected: nobody takes it any more.
        """
        claim: Holder | Lease | Entry | None = self._holder
        for _ in range(_MAX_LEADERS):
            if not isinstance(claim, Holder):
                break
            if await self._followed(claim):
                return
            claim = await self._shared.claim(self._sharing, self._call, instead_of=claim)
        if isinstance(claim, Entry):
            await take(self._flight, partial(self._replay, claim))
            return
        if isinstance(claim, Lease):
            self._shared.hold(self._flight, claim)
        self._leads = True
        await self._own.run()

    def tick(self, now: float) -> None:
        """Called twice a second while another router is followed. `now` is loop time, in seconds."""
        if self._exchange is not None:
            stall_s = self._limits.stall_timeout_s
            self._exchange.give_up(now, self._limits.first_byte_timeout_s, stall_s, stall_s)

    async def _followed(self, holder: Holder) -> bool:
        place = Place.read(holder.note)
        if place is None:
            return False
        self._state.generations.add(self)
        try:
            await take(self._flight, partial(self._follow, place))
        except _LeaderLost as lost:
            logger.info("the router %s is not followed any more: %s", place.router_id, lost)
            return False
        finally:
            self._exchange = None
            self._state.generations.discard(self)
        return True

    async def _follow(self, place: Place, sink: AnswerSink) -> None:
        peer = Replica(
            replica_id=place.router_id, model=self._sharing.model, host=place.host, port=place.port,
            secret=place.token, engine="router", profile="vllm",
        )  # fmt: skip
        self._flight.account.labels = {"model": peer.model, "engine": peer.engine, "replica": peer.replica_id}
        pool = ConnectionPool(peer, self._state.loop)
        try:
            connection = await pool.connect(min(_MAX_CONNECT_S, self._limits.connect_timeout_s))
            account = self._flight.account
            self._exchange = Exchange(connection, sink, PROFILES[peer.profile], account, wants_usage=True)
            error = await self._exchange.run(self._head(place), b"")
        except ConnectFailed as failed:
            raise _LeaderLost(str(failed)) from failed
        finally:
            pool.close()
        if isinstance(error, InvalidRequest):
            raise error  # every engine would say so
        if error is not None:
            raise _LeaderLost(str(error))

    def _head(self, place: Place) -> bytes:
        path = flight_path(self._sharing.key.digest, is_stream=self._call.wants_stream)
        return (
            f"GET {path} HTTP/1.1\r\nhost: {place.host}:{place.port}\r\n"
            f"authorization: Bearer {place.token}\r\nconnection: close\r\n\r\n"
        ).encode()

    async def _replay(self, entry: Entry, sink: AnswerSink) -> None:
        """What was kept before its maker was gone."""
        give(entry, sink, is_stream=self._call.wants_stream, wants_usage=True)
