"""What the requests of one event loop share."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

import aiohttp

from configs.router import ListenerSettings
from router.batches.desk import BatchDesk
from router.caching.shared_answers import SharedAnswers
from router.canary.tally import Tallies
from router.http.asgi import Headers
from router.http.auth import KeyRing
from router.lanes.completions import Completions
from router.lanes.lanes import Lanes
from router.load.demand import Demand
from router.load.first_tokens import FirstTokenTimes
from router.load.report import RouterLoad
from router.merging.gathering import Gatherings
from router.metrics import BREAKER_OPEN, BREAKER_OPENINGS, RUNNING, SUSPECTED, SUSPICIONS, MetricSink
from router.models.table import ModelTable, RefusedTable
from router.reliability.records import ModelRecord
from router.replicas.beginnings import Beginnings
from router.replicas.registry import Doubt, Figures, Replica, ReplicaDirectory
from router.replicas.upstream import ConnectionPool
from router.routing.occupancy import Occupancy

logger = logging.getLogger("enginehouse.router")

TICK_S = 0.5
"""How often time limits are looked at, in seconds: one timer for all requests instead of several for each."""


class Ticking(Protocol):
    def tick(self, now: float) -> None:
        """Look at the time limits. `now` is loop time, in seconds."""


class RouterState:
    """
    The model table, where the replicas are, the connections to them, and the requests under way.

    Belongs to one event loop: everything here is called from that loop.
    """

    def __init__(
        self,
        table: ModelTable,
        keys: KeyRing,
        listener: ListenerSettings,
        sink: MetricSink,
        router_id: str,
        shared_answers: SharedAnswers | None = None,
    ) -> None:
        self.table = table
        self.refused_table: RefusedTable | None = None
        """What would have been the table, had it been right; None once a later one was."""
        self.occupancy = Occupancy()
        self.names_answers = True
        """Whether answers get their `x-request-id` here. Serve's ingress adds it by itself."""
        self.keys = keys
        self.listener = listener
        self.sink = sink
        self.router_id = router_id
        self.loop = asyncio.get_running_loop()
        self.directory = ReplicaDirectory()
        self.beginnings = Beginnings()
        self.demand = Demand(self.loop)
        self.first_tokens = FirstTokenTimes()
        self.shared_answers = shared_answers
        """None where nothing is kept or shared."""
        self.gatherings = Gatherings(self.loop)
        self.tallies = Tallies(table.tally_ids)
        """How the sides of canaries and shadows do, as far as it went through here."""
        self.shadows: dict[asyncio.Task[None], str] = {}
        """Copies of requests under way, each with what it is counted under."""
        self.batches: BatchDesk | None = None
        """None where they are off."""
        self.lanes = Lanes(self.directory, sink, self.loop, router_id)
        """Where requests wait for a replica with room, and lines of batches for a slot."""
        self.completions = Completions(self.loop)
        self.generations: set[Ticking] = set()
        self.is_draining = False
        self._pools: dict[str, ConnectionPool] = {}
        self._session: aiohttp.ClientSession | None = None
        self._leaving: list[Replica] = []
        self._turn = 0
        self._records: dict[str, ModelRecord] = {}
        self._ticker = self.loop.call_later(TICK_S, self._tick)

    def answer_headers(self, request_id: bytes) -> Headers:
        """Headers of every answer. A draining router asks its clients to come back on a new connection."""
        headers: Headers = [(b"x-request-id", request_id)] if self.names_answers else []
        if self.is_draining:
            headers.append((b"connection", b"close"))
        return headers

    @property
    def session(self) -> aiohttp.ClientSession:
        """For everything that is not the path of a token."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session

    def record_of(self, model: str) -> ModelRecord:
        """What is remembered of a model's last requests, by its name."""
        record = self._records.get(model)
        if record is None:
            record = self._records[model] = ModelRecord()
        return record

    def next_turn(self) -> int:
        self._turn += 1
        return self._turn

    def pool(self, replica: Replica) -> ConnectionPool:
        pool = self._pools.get(replica.replica_id)
        if pool is None:
            pool = self._pools[replica.replica_id] = ConnectionPool(replica, self.loop)
        return pool

    def take_over_replicas(self, application: str, replicas: Iterable[Replica]) -> None:
        """Serve's new list of an application's replicas. Requests on a replica that has left it go on."""
        now, known = self.loop.time(), set(self.directory.of(application))
        for gone in self.directory.update(application, replicas, now):
            pool = self._pools.pop(gone.replica_id, None)
            if pool is not None:
                pool.close()
            self._leaving.append(gone)
        if not known.issuperset(self.directory.of(application)):
            self.first_tokens.begin_anew(application, now)
        self.lanes.serve(application)

    def take_over_figures(self, figures: Mapping[str, Figures]) -> None:
        """What the replicas last said of themselves, by replica id. Expected once a second."""
        for replica in self.directory.take_over_figures(figures, self.loop.time()):
            self.suspected(replica, "it gives no figures while others do")
        self.lanes.look()

    def suspected(self, replica: Replica, reason: str) -> None:
        """It is asked after the others from now on, or for longer."""
        logger.warning("replica %s may stand still, and is asked after the others: %s", replica.replica_id, reason)
        self.sink.record(SUSPICIONS, 1, self._labels(replica))

    def opened(self, replica: Replica, reason: str) -> None:
        """Its breaker did: it is passed over from now on, or for longer."""
        logger.warning("replica %s is passed over for a while: %s", replica.replica_id, reason)
        self.sink.record(BREAKER_OPENINGS, 1, self._labels(replica))

    def doubts(self) -> list[Doubt]:
        """The replicas that are not thought to be well."""
        return [doubt for replica in self.directory.all() if (doubt := replica.doubt) is not None]

    def load(self) -> RouterLoad:
        """What engines do not see of it. May be called from another thread."""
        demand = self.demand.now() + self.lanes.num_waiting()
        return RouterLoad(demand, self.first_tokens.lately(self.loop.time()))

    def take_over_table(self, table: ModelTable) -> None:
        """A new model table. Requests under way keep the one that they began with."""
        self.table = table
        self.refused_table = None
        self.tallies.keep_only(table.tally_ids)

    def refuse_table(self, refused: RefusedTable) -> None:
        """A new model table that is not valid, the one before it staying in force; or what is wrong with that."""
        self.refused_table = refused

    async def close(self) -> None:
        if self.batches is not None:
            await self.batches.close()
        self._ticker.cancel()
        shadows = tuple(self.shadows)
        for copying in shadows:
            copying.cancel()
        await asyncio.gather(*shadows, return_exceptions=True)
        self.gatherings.close()
        if self.shared_answers is not None:
            await self.shared_answers.close()
        for pool in self._pools.values():
            pool.close()
        if self._session is not None:
            await self._session.close()

    def _tick(self) -> None:
        self._ticker = self.loop.call_later(TICK_S, self._tick)
        now = self.loop.time()
        for generation in tuple(self.generations):
            generation.tick(now)
        self.lanes.look()
        self.lanes.report()
        for replica in (*self.directory.all(), *self._leaving):
            self._report(replica)
        self._leaving = [replica for replica in self._leaving if replica.num_running]

    def _report(self, replica: Replica) -> None:
        labels = self._labels(replica)
        self.sink.record(RUNNING, replica.num_running, labels)
        self.sink.record(BREAKER_OPEN, float(not replica.breaker.is_closed), labels)
        self.sink.record(SUSPECTED, float(replica.suspicion.is_pending), labels)

    def _labels(self, replica: Replica) -> dict[str, str]:
        """Of metrics that are told of the replica itself, whatever its model is called in the table."""
        return {
            "model": replica.model,
            "engine": replica.engine,
            "replica": replica.replica_id,
            "router": self.router_id,
        }
