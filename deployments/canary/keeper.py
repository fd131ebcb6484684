"""What one router does for canaries: it learns of them, says how they do here, and ends those that do badly."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ray.exceptions import RayError

from configs.router import RouterUserConfig
from deployments.canary.book import Book, end_trial, forget_tallies, publish_tallies, read_book
from router.canary.decisions import row_of, ruled_out, superseded
from router.canary.tally import Sides, add_sides
from router.canary.trial import Trial
from router.models.table import ModelTable

logger = logging.getLogger("enginehouse.router")

STEP_S = 1.0
"""How often canaries are looked at, in seconds: as often as the replicas' own figures."""


class TrialDoor(Protocol):
    async def courses(self) -> dict[str, Sides]:
        """The figures of what is tried, as far as it came through this door."""


class CanaryKeeper:
    """
    Belongs to Serve's event loop.

    Args:
        router_id: under which this router's figures are published.
        doors: its doors.
        take_over: called with a new model table when a canary has begun, changed or ended.
    """

    def __init__(
        self, router_id: str, doors: Callable[[], Sequence[TrialDoor]], take_over: Callable[[ModelTable], None]
    ) -> None:
        self._router_id = router_id
        self._doors = doors
        self._take_over = take_over
        self._config: RouterUserConfig | None = None
        self._trials: tuple[Trial, ...] = ()
        self._stepping = asyncio.Lock()
        self._decides = True
        self._task: asyncio.Task[None] | None = None

    async def take_over(self, config: RouterUserConfig) -> None:
        """A new `user_config`, of which `table` is made from now on."""
        if self._task is None:
            with contextlib.suppress(RayError):  # the first step makes up for it
                self._trials = (await asyncio.to_thread(read_book)).trials
            self._task = asyncio.get_running_loop().create_task(self._run())
        self._config = config

    def table(self) -> ModelTable:
        """The model table of now, with what is tried on it."""
        return ModelTable(self._config or RouterUserConfig(models={}), self._trials)

    def row(self, name: str) -> dict[str, Any] | None:
        """What `enginehouse canary` needs to know of a model, None where there is none of this name or alias."""
        row = None if self._config is None else row_of(self._config, self._trials, name)
        return None if row is None else row.document()

    def shadows(self) -> list[dict[str, str]]:
        """The shadows of the file, each with what its figures are counted under."""
        models = () if self._config is None else ModelTable(self._config).models
        return [
            {"model": model.name, "backend": model.shadow.backend.label, "of": model.shadow.tally_id}
            for model in models
            if model.shadow is not None
        ]

    async def step(self) -> None:
        """
        Publish this router's figures, read all routers', decide, and take over what was decided here or elsewhere.

        Raises:
            RayError: Ray's head does not answer. What was known stays in force.
        """
        async with self._stepping:
            config = self._config
            if config is None:
                return
            courses: dict[str, Sides] = {}
            for door in self._doors():
                for tally_id, sides in (await door.courses()).items():
                    add_sides(courses.setdefault(tally_id, {}), sides)
            book = await asyncio.to_thread(self._exchange, config, courses)
            if book.trials != self._trials:
                self._log_changes(book.trials)
                self._trials = book.trials
                self._take_over(self.table())

    def stop_deciding(self) -> None:
        """
        For a router that leaves: its `user_config` is not the house's any more, so it must not say what that ends.

        What others decide is still taken over.
        """
        self._decides = False

    async def close(self) -> None:
        """What was counted of canaries stays to be read; what was counted of shadows is about routers that run."""
        if self._task is not None:
            self._task.cancel()
        with contextlib.suppress(RayError):
            await asyncio.to_thread(forget_tallies, self._router_id, [one["of"] for one in self.shadows()])

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(STEP_S)
            try:
                await self.step()
            except RayError:  # the head is back some time
                pass
            except Exception:  # else this router would hear of no canary any more
                logger.exception("canaries could not be looked at")

    def _exchange(self, config: RouterUserConfig, courses: dict[str, Sides]) -> Book:
        """In a thread: Ray's head is waited for."""
        publish_tallies(self._router_id, courses)
        book = read_book()
        if not self._decides or self._config is not config:
            return book
        now = time.time()
        due = [*superseded(book.trials, config, now), *ruled_out(book.trials, book.tallies, now)]
        for trial, ending in due:
            end_trial(trial, ending)
        return read_book() if due else book

    def _log_changes(self, trials: Sequence[Trial]) -> None:
        before = {trial.id: trial for trial in self._trials}
        for trial in trials:
            known = before.get(trial.id)
            if trial == known:
                continue
            if trial.ending is not None and (known is None or known.ending != trial.ending):
                ending = trial.ending
                logger.warning(
                    "the canary %s of the model %r was %s: %s", trial.label, trial.model, ending.state, ending.reason
                )
            elif trial.ending is None:
                logger.warning(
                    "the canary %s of the model %r gets %g %% of its sessions, those of %d tenants, and copies of "
                    "%g %% of its requests",
                    trial.label, trial.model, trial.percent, len(trial.tenants), trial.shadow_percent,
                )  # fmt: skip
