"""The deployment `Engine`: one engine, started, watched, drained and stopped by one Serve replica."""

import asyncio
import contextlib
import logging
import os
from dataclasses import asdict
from functools import partial
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError

from configs.engine import EngineSettings
from deployments.engines import create_engine
from deployments.engines.errors import EngineDied, EngineError
from deployments.engines.load import EngineLoad
from deployments.engines.runtime import LOOPBACK, EngineRuntime, OnPhase
from deployments.engines.swap.engine import SwappedEngine, Ties
from deployments.fingerprint import build_of, fingerprint_of
from deployments.node_host import node_host
from deployments.ray_metrics import RayMetrics
from deployments.replica_logs import join_serve_logs
from deployments.serve_internals import forget_figures, forget_phase, publish_figures, publish_phase
from deployments.swap_demand import until_asked_for
from deployments.swap_report import SwapReport, place_of
from router.metrics import ENGINE_KV_CACHE, ENGINE_RUNNING, ENGINE_WAITING, SWAP_WAITING
from router.replicas.registry import Figures

logger = logging.getLogger("enginehouse.engine")

LOAD_INTERVAL_S = 1.0
"""How often the engine is asked how busy it is, in seconds."""


class EngineReplica:
    """
    Owns one engine's process. Requests do not come through here: routers reach the engine at the address that
    `record_replica_metadata` publishes.
    """

    def __init__(self, settings: EngineSettings, engine_name: str) -> None:
        join_serve_logs()
        context = serve.get_replica_context()
        self._settings = settings
        self._application = context.app_name
        self._replica_id = context.replica_id.unique_id
        self._labels = {"model": settings.model, "engine": engine_name, "replica": self._replica_id}
        self._metrics = RayMetrics()
        self._swap_report: SwapReport | None = None
        # For an engine that is itself a program of Ray's: vLLM over several nodes.
        os.environ["ENGINEHOUSE_RAY"] = f"{ray.get_runtime_context().gcs_address} {ray.__version__}"
        self._runtime = (
            self._take_place() if settings.swap is not None else self._make_runtime(node_host(), self._enter_phase)
        )
        self._load_task: asyncio.Task[None] | None = None
        self._num_published = 0

    def _make_runtime(self, host: str, on_phase: OnPhase) -> EngineRuntime:
        return EngineRuntime(create_engine(self._settings), self._settings, host, self._log_line, on_phase)

    def _take_place(self) -> SwappedEngine:
        """For an engine that takes turns: it listens on loopback, behind its door."""
        swap = self._settings.swap
        assert swap is not None  # noqa: S101 - narrows the type
        report = self._swap_report = SwapReport(self._metrics, self._labels, swap.group, self._application)
        asked_for = partial(until_asked_for, self._application)
        return SwappedEngine(
            partial(self._make_runtime, LOOPBACK),
            self._settings,
            place_of(swap.group, self._replica_id, node_host()),
            Ties(self._enter_phase, report.starts, report.swapped, asked_for),
        )

    async def start(self) -> None:
        """
        Raises:
            EngineStartError: the engine did not become ready; the message has its last lines.
        """
        try:
            await self._runtime.start()
        except EngineError as error:
            self._enter_phase(f"failed: {error.message}")
            raise
        self._load_task = asyncio.get_running_loop().create_task(self._report_load())

    def record_replica_metadata(self) -> dict[str, Any]:
        """What a router needs to reach the engine, and to speak with it. Serve hands it to the routers only."""
        address = self._runtime.address
        engine = self._runtime.engine
        return {
            "host": address.host,
            "port": address.port,
            "secret": address.secret,
            "model": self._settings.model,
            "engine": self._labels["engine"],
            "profile": engine.profile,
            "task": self._settings.task,
            "max_model_len": self._runtime.max_model_len,
            "max_num_seqs": getattr(self._settings, "max_num_seqs", None),  # an endpoint of others does not say
            "statement": asdict(self._runtime.statement),
            "fim": self._runtime.facts.fim,
            "role_refusals": self._runtime.facts.refusals,
            "has_priorities": getattr(self._settings, "scheduling_policy", None) == "priority",
            "fingerprint": fingerprint_of(self._settings, self._runtime.version or build_of(self._labels["engine"])),
        }

    async def check_health(self) -> None:
        """
        Serve's question, each `health_check_period_s`.

        Raises:
            EngineDied: Serve replaces the replica after three of these in a row.
        """
        try:
            await self._runtime.check()
        except EngineDied as died:
            logger.error("%s", died.message)  # noqa: TRY400 - the message has the reason, the trace says nothing
            raise

    async def stop(self) -> None:
        """Let what runs finish, then end the engine. Serve has taken the replica out of the routers' lists before."""
        if self._load_task is not None:
            self._load_task.cancel()
        if self._load_task is not None and not await self._runtime.drain(self._settings.drain_timeout_s):
            logger.warning("the engine was stopped before its last requests were finished")
        await self._runtime.stop()
        if self._swap_report is not None:
            await self._swap_report.close()
        self._metrics.close()
        if self._load_task is not None:  # why a replica never started stays there to be read
            forget_phase(self._application, self._replica_id)
            forget_figures(self._replica_id)

    async def _report_load(self) -> None:
        while True:
            with contextlib.suppress(EngineError):  # check_health says so, and Serve acts on it
                load = await self._runtime.load()
                self._metrics.record(ENGINE_RUNNING, load.num_running, self._labels)
                self._metrics.record(ENGINE_WAITING, load.num_waiting, self._labels)
                if load.kv_cache_usage_ratio is not None:
                    self._metrics.record(ENGINE_KV_CACHE, load.kv_cache_usage_ratio, self._labels)
                if isinstance(self._runtime, SwappedEngine):
                    self._metrics.record(SWAP_WAITING, self._runtime.num_waiting, self._labels)
                await self._publish(load)
            await asyncio.sleep(LOAD_INTERVAL_S)

    async def _publish(self, load: EngineLoad) -> None:
        """For the routers, which otherwise know of their own requests only, and for the scaling policy."""
        self._num_published += 1
        figures = Figures(self._num_published, load.num_running, load.num_waiting, load.kv_cache_usage_ratio)
        with contextlib.suppress(RayError):  # the routers go by their own counts until the head is back
            await asyncio.to_thread(publish_figures, self._replica_id, figures)

    def _log_line(self, stream: str, line: str) -> None:
        logger.info("[%s %s] %s", self._labels["engine"], stream, line)

    def _enter_phase(self, phase: str) -> None:
        logger.info("engine phase: %s", phase)
        publish_phase(self._application, self._replica_id, phase)
