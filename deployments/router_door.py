"""The router's own listener in a thread and event loop of its own, beside Serve's."""

import asyncio
import contextlib
import gc
import logging
import os
import socket
import threading
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import uvloop

from cache.store import StoreStats
from configs.batches import BatchSettings
from configs.cache import CacheSettings
from configs.router import ListenerSettings
from router.app import RouterApp
from router.batches.service import Batches
from router.caching.peer_door import open_peer_door
from router.caching.shared_answers import SharedAnswers
from router.canary.tally import Sides
from router.http.auth import KeyRing
from router.http.pages import with_pages
from router.listener import Listener, bind
from router.load.report import RouterLoad
from router.metrics import MetricSink
from router.models.table import ModelTable, RefusedTable
from router.replicas.registry import Doubt, Figures, Replica
from router.state import RouterState

T = TypeVar("T")
logger = logging.getLogger("enginehouse.router")

GC_THRESHOLD = 20_000
"""Containers that are made before Python looks for cycles among them; its default is 700, which is a dozen requests.
What a request makes is nearly all freed by its end, without that search."""


@dataclass(slots=True, frozen=True)
class DoorSettings:
    """What every door of one router replica has in common."""

    listener: ListenerSettings
    keys: KeyRing
    sink: MetricSink
    router_id: str
    cache: CacheSettings
    batches: BatchSettings
    node_host: str
    """This node's address for its peers, on which other routers may follow what is made here."""

    def open(self, table: ModelTable, door: str = "") -> RouterState:
        """The state of a door on the running event loop. `door` tells its metrics from those of another."""
        shared = SharedAnswers.open(self.cache, os.environ)
        state = RouterState(table, self.keys, self.listener, self.sink, self.router_id + door, shared)
        try:
            state.batches = Batches.open(self.batches, os.environ, state)
        except OSError as error:  # interactive traffic does not depend on it
            logger.error("files and batches are off, their folder cannot be used: %s", error)  # noqa: TRY400 - said all
        return state


class ServeDoor:
    """The router behind Serve's ingress, on Serve's event loop."""

    def __init__(self, settings: DoorSettings, table: ModelTable) -> None:
        self._settings = settings
        self._state = settings.open(table, door="-serve")
        self._state.names_answers = False
        self._peer_door: Listener | None = None
        self.app = with_pages(RouterApp(self._state), self._state.listener.allowed_origins)

    async def start(self) -> None:
        self._peer_door = await open_peer_door(self._state, self._settings.node_host)

    def take_over_table(self, table: ModelTable) -> None:
        self._state.take_over_table(table)

    def refuse_table(self, refused: RefusedTable) -> None:
        self._state.refuse_table(refused)

    def take_over_replicas(self, application: str, replicas: Sequence[Replica]) -> None:
        self._state.take_over_replicas(application, replicas)

    def take_over_figures(self, figures: Mapping[str, Figures]) -> None:
        self._state.take_over_figures(figures)

    def load(self) -> RouterLoad:
        """As `RouterState.load`."""
        return self._state.load()

    def applications_in_use(self) -> frozenset[str]:
        """As `Lanes.applications_in_use`."""
        return self._state.lanes.applications_in_use()

    async def purge(self, model: str | None, namespace: str | None) -> int:
        return await self._state.shared_answers.purge(model, namespace) if self._state.shared_answers else 0

    async def courses(self) -> dict[str, Sides]:
        """The figures of what is tried, as far as it came through this door."""
        return self._state.tallies.courses(self._state.loop.time())

    async def doubts(self) -> list[Doubt]:
        """As `RouterState.doubts`."""
        return self._state.doubts()

    async def close(self) -> None:
        if self._peer_door is not None:
            await self._peer_door.abort()
        await self._state.close()


class OwnDoor:
    """
    The router behind its own listener.

    It has its own thread: Serve's event loop is a plain asyncio one, and what Serve does on it would be heard in
    every token. Its methods are called from Serve's loop.
    """

    def __init__(self, settings: DoorSettings) -> None:
        self._settings = settings
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="enginehouse-listener", daemon=True)
        self._state: RouterState | None = None
        self._listener: Listener | None = None
        self._peer_door: Listener | None = None

    async def open(self, table: ModelTable) -> None:
        """Once. From now on it takes over what it is told, and nobody comes through it before `listen`."""
        self._thread.start()
        await self._on_loop(self._open(table))

    async def listen(self) -> None:
        """
        Let clients in.

        Raises:
            ListenError: the address cannot be listened on.
        """
        listening = bind(self._settings.listener)
        assert self._state is not None  # noqa: S101 - narrows the type: it is open
        await self._on_loop(self._listen(listening, self._state))

    def take_over_table(self, table: ModelTable) -> None:
        if self._state is not None:
            self._loop.call_soon_threadsafe(self._state.take_over_table, table)

    def refuse_table(self, refused: RefusedTable) -> None:
        if self._state is not None:
            self._loop.call_soon_threadsafe(self._state.refuse_table, refused)

    def take_over_replicas(self, application: str, replicas: Sequence[Replica]) -> None:
        if self._state is not None:
            self._loop.call_soon_threadsafe(self._state.take_over_replicas, application, replicas)

    def take_over_figures(self, figures: Mapping[str, Figures]) -> None:
        if self._state is not None:
            self._loop.call_soon_threadsafe(self._state.take_over_figures, figures)

    def load(self) -> RouterLoad:
        """As `RouterState.load`."""
        return RouterLoad() if self._state is None else self._state.load()

    def applications_in_use(self) -> frozenset[str]:
        """As `Lanes.applications_in_use`."""
        return frozenset() if self._state is None else self._state.lanes.applications_in_use()

    async def check(self, timeout_s: float = 5.0) -> None:
        """
        Raises:
            TimeoutError: the listener's event loop did not answer in time.
        """
        await asyncio.wait_for(self._on_loop(asyncio.sleep(0)), timeout_s)

    async def purge(self, model: str | None, namespace: str | None) -> int:
        """As `SharedAnswers.purge`."""
        shared = None if self._state is None else self._state.shared_answers
        return 0 if shared is None else await self._on_loop(shared.purge(model, namespace))

    async def cache_stats(self) -> StoreStats | None:
        """Of the store behind this door; None before it is open."""
        shared = None if self._state is None else self._state.shared_answers
        return None if shared is None else await self._on_loop(shared.stats())

    async def courses(self) -> dict[str, Sides]:
        """The figures of what is tried, as far as it came through this door."""
        return {} if self._state is None else await self._on_loop(_courses(self._state))

    async def doubts(self) -> list[Doubt]:
        """As `RouterState.doubts`."""
        return [] if self._state is None else await self._on_loop(_doubts(self._state))

    async def drain(self, timeout_s: float) -> bool:
        """Stop accepting and finish what runs. Returns whether it was finished within `timeout_s`."""
        if self._listener is None:
            return True
        return await self._on_loop(self._drain(self._listener, timeout_s))

    async def close(self) -> None:
        """End the thread. Nothing may be handed to this door any more."""
        if self._state is None:
            return
        if self._peer_door is not None:
            await self._on_loop(self._peer_door.abort())
        await self._on_loop(self._state.close())
        self._state = None
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _open(self, table: ModelTable) -> None:
        self._state = self._settings.open(table)

    async def _listen(self, listening: socket.socket, state: RouterState) -> None:
        if state.batches is not None:
            state.batches.run_lines()
        self._listener = Listener(RouterApp(state), listening, state.listener.allowed_origins)
        await self._listener.start()
        self._peer_door = await open_peer_door(state, self._settings.node_host)

    async def _drain(self, listener: Listener, timeout_s: float) -> bool:
        doors = [listener] if self._peer_door is None else [listener, self._peer_door]
        return all(await asyncio.gather(*[door.drain(timeout_s) for door in doors]))

    async def _on_loop(self, coroutine: Coroutine[object, object, T]) -> T:
        """Run a coroutine on the listener's loop and wait for it on the caller's."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    def _run(self) -> None:
        gc.set_threshold(GC_THRESHOLD, 20, 20)
        asyncio.set_event_loop(self._loop)
        with contextlib.closing(self._loop):
            self._loop.run_forever()


async def _doubts(state: RouterState) -> list[Doubt]:
    return state.doubts()


async def _courses(state: RouterState) -> dict[str, Sides]:
    return state.tallies.courses(state.loop.time())
