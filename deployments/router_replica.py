"""The deployment `Router`: one router, behind its own listener and behind Serve's ingress."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from ray import serve
from ray.exceptions import RayError

from configs.checks.addresses import is_haproxy_mode
from configs.checks.validation import read_user_config
from configs.finding import ConfigError
from configs.router import LOOPBACK_HOSTS, ApiKeySettings, RouterArgs, RouterUserConfig
from deployments.api_keys import key_ring
from deployments.canary.keeper import CanaryKeeper
from deployments.followed import Followed
from deployments.load.report import LoadReport
from deployments.new_table import name_warnings, refusal_text, refuse_what_is_not_there
from deployments.node_host import node_host
from deployments.ray_metrics import RayMetrics
from deployments.replica_logs import join_serve_logs
from deployments.router_door import DoorSettings, OwnDoor, ServeDoor
from deployments.serve_internals import ReplicaWatch, RunningReplica, is_replica_stopping, read_figures_and_wish
from deployments.swap_report import read_turns
from deployments.table_fit import TableFit
from router.http.asgi import AsgiApp
from router.http.auth import KeyRing
from router.load.report import RouterLoad
from router.models.table import ModelTable, RefusedTable
from router.replicas.registry import Figures, Replica
from router.replicas.statement import Statement
from router.routing.policy import PolicyNotFound

logger = logging.getLogger("enginehouse.router")

ENGINE_DEPLOYMENT = "Engine"
FIGURES_INTERVAL_S = 1.0
"""How often the replicas' own figures are read, in seconds: as often as they are published."""
FIRST_WORDS_S = 1.0
"""How long a router waits, before it listens, for Serve's first word on the replicas of every application, in seconds.
Serve says it within a tenth of that, and of an application that has none yet nothing at all."""
STOPPING_POLL_S = 0.2
"""How often a router looks whether it is to stop, in seconds."""
_TOLD = frozenset(field.name for field in fields(Replica) if field.init)
EMPTY_TABLE = ModelTable(RouterUserConfig(models={}))


class RouterReplica:
    """Brings the model table and the replicas' addresses to the router's doors, and the router's end to its clients."""

    def __init__(self, args: RouterArgs) -> None:
        join_serve_logs()
        self._drain_timeout_s = args.drain_timeout_s
        self._listener_settings = args.listener
        self._watches: dict[str, ReplicaWatch] = {}
        self._followed = Followed(args.listener.request_timeout_s)
        self._running: dict[str, list[str]] = {}
        self._has_changed = asyncio.Event()
        self._wish: frozenset[str] = frozenset()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_listening = False
        self._draining: asyncio.Task[bool] | None = None
        self._taking_over = asyncio.Lock()
        self._names: list[str] = []
        self._refused: RefusedTable | None = None
        self._replica_id = replica_id = serve.get_replica_context().replica_id.unique_id
        keys = key_ring(args.api_keys)
        refuse_public_without_keys(keys, args.api_keys, args.listener.host)
        if is_haproxy_mode(os.environ) and not keys.is_open and keys.are_in_paths:
            logger.warning("Ray's HAProxy logs whole paths, keys in them included: set api_keys.in_path to false")
        self._metrics = RayMetrics()
        settings = DoorSettings(args.listener, keys, self._metrics, replica_id, args.cache, args.batches, node_host())
        self._settings = settings
        self._own_door = OwnDoor(settings)
        self._serve_door: ServeDoor | None = None
        self._canaries = CanaryKeeper(replica_id, lambda: self._doors, self._take_over_table)
        self._fit = TableFit(self._say_what_does_not_fit)

    async def build_app(self) -> AsgiApp:
        """Open Serve's door. Returns the app that Serve's ingress calls."""
        self._serve_door = ServeDoor(self._settings, EMPTY_TABLE)
        await self._serve_door.start()
        return self._serve_door.app

    async def take_over(self, user_config: dict[str, Any]) -> None:
        """
        A new model table, in place. With the first one, the router begins to listen.

        Raises:
            ConfigError, PolicyNotFound: the first table is not valid. A later one is refused, which the log and
                `/v1/models` say, and the table before it stays in force: raising would make Serve stop a router that
                works.
            ListenError: the address cannot be listened on.
        """
        async with self._taking_over:
            try:
                config = read_user_config(user_config)
                ModelTable(config)
                if self._is_listening:
                    await refuse_what_is_not_there(config)
            except (ConfigError, PolicyNotFound) as error:
                if not self._is_listening:
                    raise
                self._refuse(error)
                return
            await self._canaries.take_over(config)
            table = self._canaries.table()
            if not self._is_listening:
                await self._own_door.open(table)
            self._refused = None
            self._take_over_table(table)
            if not self._is_listening:
                await self._listen(table.applications)
            self._fit.take_over(config)
            for warning in name_warnings(config):
                logger.warning("model table: %s", warning)

    def _take_over_table(self, table: ModelTable) -> None:
        """Of a new `user_config`, or of the old one with what is tried on it now."""
        for door in self._doors:
            door.take_over_table(table)
            if self._refused is not None:
                door.refuse_table(self._refused)
        self._watch(table.applications)
        self._names = [*(model.name for model in table.models), *(auto.name for auto in table.autos)]
        logger.info("model table: %s", ", ".join(self._names) or "empty")

    async def check_health(self) -> None:
        """
        Raises:
            RuntimeError: Serve has given the router no model table.
            TimeoutError: the listener does not answer.
        """
        if not self._is_listening:
            raise RuntimeError("the deployment Router has no user_config, and so no model table")
        await self._own_door.check()

    async def _listen(self, applications: frozenset[str]) -> None:
        """
        Once it knows the replicas: else what comes first would go to whichever application it heard of first, a
        fallback or a backend that is not its session's.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_WORDS_S):
                while not applications <= self._running.keys():
                    await self._has_changed.wait()
                    self._has_changed.clear()
        await self._own_door.listen()
        self._is_listening = True
        report = LoadReport(self._replica_id, self._load)
        jobs = (self._read_figures(), report.run(), self._fit.run(), self._drain_when_told())
        self._tasks = [asyncio.get_running_loop().create_task(job) for job in jobs]
        address = f"{self._listener_settings.host}:{self._listener_settings.port}"
        logger.info("listening on %s%s", address, ", for everybody" if self._settings.keys.is_open else "")

    def _refuse(self, error: ConfigError | PolicyNotFound) -> None:
        reason = refusal_text(error)
        logger.error("the new user_config is not valid, the one before it stays in force: %s", reason)
        self._refused = RefusedTable(time.time(), reason)
        for door in self._doors:
            door.refuse_table(self._refused)

    def _say_what_does_not_fit(self, unfit: RefusedTable | None) -> None:
        """In the table in force, unless a later one was refused: then that is said."""
        if self._draining is not None or (self._refused is not None and not self._refused.is_in_force):
            return
        self._refused = unfit
        if unfit is None:
            self._take_over_table(self._canaries.table())
            return
        for door in self._doors:
            door.refuse_table(unfit)

    async def purge_cache(self, model: str | None, namespace: str | None) -> int:
        """For `enginehouse cache purge`: how many answers were forgotten here."""
        return sum([await door.purge(model, namespace) for door in self._doors])

    async def cache_stats(self) -> dict[str, Any]:
        """For `enginehouse cache stats`: what is kept behind the router's own listener."""
        stats = await self._own_door.cache_stats()
        return {} if stats is None else asdict(stats)

    async def table_status(self) -> dict[str, Any]:
        """
        For `enginehouse status`: the names in force, the table that was refused since, as `/v1/models` says, who is
        awake of the models that take turns, and which replicas are not thought to be well.
        """
        refused = None if self._refused is None else asdict(self._refused)
        turns = await asyncio.to_thread(read_turns, [one for running in self._running.values() for one in running])
        doubts = [asdict(doubt) for door in self._doors for doubt in await door.doubts()]
        return {"names": list(self._names), "refused": refused, "turns": turns, "doubts": doubts}

    async def canary_row(self, model: str) -> dict[str, Any] | None:
        """For `enginehouse canary`: as `CanaryKeeper.row`."""
        return self._canaries.row(model)

    async def step_canaries(self) -> list[dict[str, str]]:
        """For `enginehouse canary`: take over now what was written, and publish what was counted. As `shadows`."""
        await self._canaries.step()
        return self._canaries.shadows()

    async def stop(self) -> None:
        """Close the doors behind the last client. Serve calls it when nothing runs behind its door any more."""
        self._begin_to_drain()
        if self._draining is not None and not await self._draining:
            logger.warning("the router was stopped before its last requests were finished")
        await self._canaries.close()
        for watch in self._watches.values():  # not before: what still runs may need another replica
            watch.stop()
        for task in self._tasks:
            task.cancel()
        await self._own_door.close()
        if self._serve_door is not None:
            await self._serve_door.close()
        self._metrics.close()

    async def _drain_when_told(self) -> None:
        """As soon as Serve begins with its own door, so that the streams of both get the same time."""
        while not is_replica_stopping():  # noqa: ASYNC110  Serve tells no event
            await asyncio.sleep(STOPPING_POLL_S)
        self._begin_to_drain()

    def _begin_to_drain(self) -> None:
        self._canaries.stop_deciding()
        if self._is_listening and self._draining is None:
            drained = self._own_door.drain(self._drain_timeout_s)
            self._draining = asyncio.get_running_loop().create_task(drained)

    def _load(self) -> RouterLoad:
        return RouterLoad.of(door.load() for door in self._doors).asked_for(self._wish)

    @property
    def _doors(self) -> tuple[OwnDoor | ServeDoor, ...]:
        return (self._own_door,) if self._serve_door is None else (self._own_door, self._serve_door)

    def _let_go(self) -> None:
        """Of the replicas of applications that the table does not name any more, once nobody needs them."""
        if self._followed.is_settled:
            return
        in_use = frozenset[str]().union(*(door.applications_in_use() for door in self._doors))
        for application in self._followed.release(in_use, time.monotonic()):
            self._watches.pop(application).stop()
            self._update(application, [])

    def _watch(self, applications: frozenset[str]) -> None:
        for application in self._followed.change(applications, time.monotonic()):
            self._watches[application] = ReplicaWatch(
                application,
                ENGINE_DEPLOYMENT,
                asyncio.get_running_loop(),
                lambda running, application=application: self._update(application, running),  # type: ignore[misc]
            )

    def _update(self, application: str, running: Sequence[RunningReplica]) -> None:
        self._running[application] = [one.replica_id for one in running]
        self._has_changed.set()
        logger.info("replicas of %s: %s", application, ", ".join(self._running[application]) or "none")
        self._fit.engines_changed()
        for door in self._doors:
            # Each door gets objects of its own: it counts in them, on its own event loop.
            replicas = [_replica_of(one) for one in running if one.metadata]
            door.take_over_replicas(application, replicas)

    async def _read_figures(self) -> None:
        """What the replicas say of themselves, brought to the doors; and what scaling policies ask the routers."""
        while True:
            await asyncio.sleep(FIGURES_INTERVAL_S)
            ids = [one for running in self._running.values() for one in running]
            figures: dict[str, Figures] = {}
            if ids:
                with contextlib.suppress(RayError):  # the doors go by what they know, and forget what is too old
                    figures, self._wish = await asyncio.to_thread(read_figures_and_wish, ids)
            for door in self._doors:
                door.take_over_figures(figures)
            self._let_go()


def _replica_of(running: RunningReplica) -> Replica:
    """What of it is known here: a replica of another version may say more, or less."""
    told = {name: value for name, value in running.metadata.items() if name in _TOLD}
    told["statement"] = Statement.of(told.get("statement") or {})
    return Replica(replica_id=running.replica_id, **told)


def refuse_public_without_keys(keys: KeyRing, settings: ApiKeySettings, host: str) -> None:
    """
    Raises:
        ValueError: who has no key is served, the address is public, and nobody said that this is meant.
    """
    is_public = host not in LOOPBACK_HOSTS or is_haproxy_mode(os.environ)
    if not is_public or settings.allow_anonymous_on_public_address:
        return
    if settings.allow_anonymous:
        raise ValueError(
            "api_keys.allow_anonymous serves everybody who reaches the router's public address: say that it is meant "
            "with api_keys.allow_anonymous_on_public_address"
        )
    if keys.is_open:
        raise ValueError(
            "without API keys the router serves this machine only: set api_keys, or listen on 127.0.0.1 without "
            "HAProxy mode, or say that it is meant with api_keys.allow_anonymous_on_public_address"
        )
