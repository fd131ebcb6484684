"""Files and batches of one router: opened by its settings, asked by its routes, worked on in the background."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping

from configs.batches import BatchSettings
from router.batches import engine_loads
from router.batches.engine_loads import EngineLoads
from router.batches.files import FileShelf
from router.batches.gate import Gate
from router.batches.lease import Lease
from router.batches.ledger import Ledger
from router.batches.records import Batch, Order
from router.batches.slack import Load
from router.batches.store import ObjectStore
from router.batches.work import Shop, Work
from router.errors import ObjectNotFound, StoreUnavailable
from router.metrics import BATCHES
from router.state import RouterState

logger = logging.getLogger("enginehouse.batches")

SCAN_S = 3.0
"""How often the store is looked through for batches that nobody works on, in seconds."""
LOOK_S = 0.05
"""How often the slots are looked at while lines wait or run, in seconds."""
MAX_WORKS = 8
"""Batches that one router works on at a time; the oldest come first."""
_ABANDONED_S = 3600.0


class Batches:
    """
    Belongs to the event loop of its router's state.

    `run_lines` makes this router work on batches, those of other routers that are gone included.
    """

    def __init__(self, store: ObjectStore, settings: BatchSettings, state: RouterState) -> None:
        self.settings = settings
        self.files = FileShelf(store)
        self.ledger = Ledger(store)
        self._state = state
        self._store = store
        self._works: dict[str, tuple[Work, asyncio.Task[None]]] = {}
        self._wake = asyncio.Event()
        self._loads = EngineLoads()
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    def open(cls, settings: BatchSettings, environment: Mapping[str, str], state: RouterState) -> "Batches | None":
        """
        None where they are off. Nobody is asked yet.

        Raises:
            KeyError: an environment variable that the settings name is not set.
            OSError: the folder cannot be made.
        """
        if settings.store is None:
            return None
        return cls(ObjectStore.open(settings.store, environment), settings, state)

    def run_lines(self) -> None:
        """Begin to work on batches, until `close`."""
        gate = self._state.gate = Gate(self._measure, self.settings.max_slots_ratio)
        shop = Shop(self._state, self._store, self.files, self.ledger, gate, self.settings.max_lines)
        jobs = (self._scan_for_ever(shop), self._look_for_ever(gate), self._ask_engines_for_ever(gate))
        self._tasks = [asyncio.create_task(job) for job in jobs]

    async def create(self, owner: str, order: Order) -> Batch:
        batch = await self.ledger.create(owner, order)
        self._state.sink.record(BATCHES, 1, {"state": "validating"})
        self._wake.set()
        return batch

    async def cancel(self, batch: Batch) -> None:
        await self.ledger.cancel(batch)
        if batch.id in self._works:
            self._works[batch.id][0].look_now.set()

    async def close(self) -> None:
        """Leave the work to other routers, at once."""
        tasks = [*self._tasks, *(task for _, task in self._works.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_for_ever(self, gate: Gate) -> None:
        while True:
            gate.look()
            await asyncio.sleep(LOOK_S)

    async def _ask_engines_for_ever(self, gate: Gate) -> None:
        """As long as there are lines. Other routers' clients are known by what the engines say only."""
        while True:
            replicas = [one for application in gate.applications for one in self._state.directory.of(application)]
            await self._loads.ask(self._state.session, replicas)
            await asyncio.sleep(engine_loads.INTERVAL_S)

    async def _scan_for_ever(self, shop: Shop) -> None:
        while True:
            try:
                await self._scan(shop)
            except StoreUnavailable as error:
                logger.warning("looking for batches: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SCAN_S):
                    await self._wake.wait()
            self._wake.clear()

    async def _scan(self, shop: Shop) -> None:
        for owner, batch_id in await self.ledger.open_batches():
            if len(self._works) >= MAX_WORKS:
                return
            if batch_id in self._works:
                continue
            try:
                batch = await self.ledger.find(owner, batch_id)
            except ObjectNotFound:  # its creation is under way, or came to no end
                if _age_s(batch_id) > _ABANDONED_S:
                    await self.ledger.drop_mark(batch_id)
                continue
            lease = Lease(self.ledger, batch, self._state.router_id)
            if await lease.take():
                work = Work(shop, batch, lease)
                self._works[batch_id] = (work, asyncio.create_task(self._work(work, lease, batch_id)))

    async def _work(self, work: Work, lease: Lease, batch_id: str) -> None:
        try:
            await work.run()
        except StoreUnavailable as error:
            logger.warning("batch %s rests: %s", batch_id, error)
        except Exception:
            logger.exception("batch %s rests after a fault of the router", batch_id)
        finally:
            self._works.pop(batch_id, None)
            with contextlib.suppress(StoreUnavailable):
                await lease.give_up()

    def _measure(self, application: str, num_interactive: int, num_lines: int) -> Load:
        replicas = self._state.directory.of(application)
        if not replicas:  # lines do not ask before there is a slot, and a model that sleeps has none
            self._state.demand.missed(application)
        num_slots = sum(replica.max_num_seqs or self.settings.slots_per_replica for replica in replicas)
        num_elsewhere, num_waiting = self._loads.of(replicas)
        return Load(num_slots, num_interactive, num_lines, num_elsewhere, num_waiting)


def _age_s(batch_id: str) -> float:
    digits = batch_id.removeprefix("batch_")[:11]
    try:
        return time.time() - int(digits, 16) / 1000
    except ValueError:  # no name of ours
        return 0.0
