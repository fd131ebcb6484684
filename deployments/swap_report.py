"""What is told of an engine that takes turns on a GPU: in metrics, in the log, and to `enginehouse status`."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import orjson
import ray
from ray.exceptions import RayError

from deployments.engines.swap.engine import Place, Swap
from deployments.serve_internals import forget_notes, put_note, read_notes
from router.metrics import AWAKE, STARTING, SWAP_STATE_TIME, SWAP_TIME, SWAPS, Metric, MetricSink

logger = logging.getLogger("enginehouse.engine")

NOTES = "swap:"
"""How the keys of the notes begin; the application and the replica's id follow."""
REPEAT_S = 1.0
"""How often gauges are told, in seconds: Ray forgets one that is not set between two of its reports."""


def place_of(group: str, replica_id: str, host: str) -> Place:
    """Where this replica takes turns: with all others of the group that Ray put on the same GPU of this node."""
    context = ray.get_runtime_context()
    gpus = "-".join(context.get_accelerator_ids().get("GPU", [])) or "none"
    session = Path(context.get_temp_dir()) / context.get_session_name()
    return Place(session / "enginehouse-swap" / f"{group}@{gpus}", replica_id, host)


def read_turns(replica_ids: Collection[str]) -> list[dict[str, Any]]:
    """
    What those of these replicas last said that take turns: `group`, `model`, `state` and `since`, in seconds since
    1970. Nothing where the cluster's head does not answer.
    """
    try:
        notes = read_notes(NOTES)
    except RayError:
        return []
    said = [orjson.loads(note) for key, note in notes.items() if key.rpartition(":")[2] in replica_ids]
    return sorted(said, key=lambda each: (each["group"], each["model"]))


class SwapReport:
    """Of one replica. Belongs to one event loop, which never waits for Ray's head: answers pass through it."""

    def __init__(self, metrics: MetricSink, labels: dict[str, str], group: str, application: str) -> None:
        self._metrics = metrics
        self._labels = labels
        self._group = group
        self._key = f"{NOTES}{application}:{labels['replica']}"
        self._note: bytes | None = None
        self._telling: asyncio.Task[None] | None = None
        self._gauges: dict[Metric, float] = {}
        self._repeating: asyncio.Task[None] | None = None

    def starts(self) -> None:
        """Its engine starts, and has the GPU for it: the others of its group wait until it is awake."""
        logger.info("swap: %s of the group %s has the GPU, and starts", self._labels["model"], self._group)
        self._show(is_awake=False, is_starting=True)

    def swapped(self, swap: Swap) -> None:
        """Its engine is awake, or asleep, from now on."""
        state, before = ("awake", "asleep") if swap.is_awake else ("asleep", "awake")
        logger.info(
            "swap: %s of the group %s is %s, which took %.2f s, after %.1f s %s",
            self._labels["model"], self._group, state, swap.took_s, swap.before_s, before,
        )  # fmt: skip
        self._metrics.record(SWAPS, 1, {**self._labels, "state": state})
        self._metrics.record(SWAP_TIME, swap.took_s, {**self._labels, "state": state})
        self._metrics.record(SWAP_STATE_TIME, swap.before_s + swap.took_s, {**self._labels, "state": before})
        self._show(is_awake=swap.is_awake)
        note = {"group": self._group, "model": self._labels["model"], "state": state, "since": time.time()}
        self._note = orjson.dumps(note)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def close(self) -> None:
        """The replica is no more."""
        self._show(is_awake=False)
        if self._repeating is not None:
            self._repeating.cancel()
        self._note = None
        if self._telling is not None:
            await self._telling
        with contextlib.suppress(RayError):
            await asyncio.to_thread(forget_notes, self._key)

    def _show(self, *, is_awake: bool, is_starting: bool = False) -> None:
        self._gauges = {AWAKE: float(is_awake), STARTING: float(is_starting)}
        self._record_gauges()
        if self._repeating is None:
            self._repeating = asyncio.get_running_loop().create_task(self._repeat())

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(REPEAT_S)
            self._record_gauges()

    def _record_gauges(self) -> None:
        for gauge, value in self._gauges.items():
            self._metrics.record(gauge, value, self._labels)

    async def _tell(self) -> None:
        """The newest note, until it is the one that was told."""
        while self._note is not None:
            note, self._note = self._note, None
            with contextlib.suppress(RayError):  # it is only shown
                await asyncio.to_thread(put_note, self._key, note)
