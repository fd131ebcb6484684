"""What an attempt at one backend came to, as that backend's side of a canary counts it, and its metrics."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from router.canary.tally import FAILED, Side
from router.canary.trial import Trial
from router.errors import ClientDisconnected, EngineTimeout, InvalidRequest, ServingError
from router.exchange import Exchange
from router.http.event_stream import Usage
from router.lanes.lane import Lane
from router.metrics import BACKEND_ATTEMPTS, BACKEND_FIRST_TOKEN, BACKEND_TOKEN_TIME
from router.models.table import Model
from router.replicas.registry import Replica

if TYPE_CHECKING:  # it needs this package
    from router.state import RouterState

_EARLY_S: Final = 0.005
"""So much too early may a timer ring, in seconds: uvloop's count whole milliseconds."""


def outcome_of_attempt(error: ServingError | None) -> str:
    """A client's own mistake is nobody's failure; that an engine has too much to do is one of that engine."""
    if error is None:
        return "ok"
    return "refused" if isinstance(error, InvalidRequest) else FAILED + error.code


def time_per_token(first_at: float | None, last_at: float, usage: Usage | None) -> float | None:
    """
    Of the tokens after the first, in seconds, from the times of the first and the last.

    None where the answer was not streamed, or its engine does not count, or there is no second token.
    """
    if first_at is None or usage is None or usage.num_completion_tokens < 2:
        return None
    return (last_at - first_at) / (usage.num_completion_tokens - 1)


@dataclass(slots=True, frozen=True)
class Noting:
    """
    One attempt. `tally_id` is empty where there is no canary.

    All moments are in loop time, in seconds: the attempt's beginning, and by when its model has the answer to have
    begun, and to be whole; infinite where the model sets no such limit.
    """

    state: "RouterState"
    labels: Mapping[str, str]
    tally_id: str
    side: Side
    began_at: float
    begins_by: float
    ends_by: float

    async def end_of(
        self, attempt: Callable[[], Awaitable[ServingError | None]], exchange: Callable[[], Exchange | None]
    ) -> ServingError | None:
        """What the attempt, which is made here, returns or raises."""
        try:
            error = await attempt()
        except (asyncio.CancelledError, ClientDisconnected):
            self._count(FAILED + EngineTimeout.code if self._is_late(exchange()) else "left")
            raise
        except ServingError as refusal:
            self._count(outcome_of_attempt(refusal))
            raise
        self._count(outcome_of_attempt(error))
        made = exchange()
        if error is None and made is not None:
            first_at = made.first_token_at
            self._time(first_at, time_per_token(first_at, made.last_read_at, made.usage))
        return error

    def _is_late(self, made: Exchange | None) -> bool:
        """Whether the model's own time for the answer is over: who has the request then has not kept it."""
        has_begun = made is not None and made.has_token
        by = self.ends_by if has_begun else min(self.begins_by, self.ends_by)
        return self.state.loop.time() >= by - _EARLY_S

    def _count(self, outcome: str) -> None:
        state = self.state
        state.sink.record(BACKEND_ATTEMPTS, 1, {**self.labels, "outcome": outcome.removeprefix(FAILED)})
        if self.tally_id:
            state.tallies.count(self.tally_id, self.side, state.loop.time(), outcome)

    def _time(self, first_token_at: float | None, tpot_s: float | None) -> None:
        state, labels = self.state, dict(self.labels)
        tallies = state.tallies.of(self.tally_id, self.side, state.loop.time()) if self.tally_id else ()
        if first_token_at is not None:
            state.sink.record(BACKEND_FIRST_TOKEN, first_token_at - self.began_at, labels)
        if tpot_s is not None:
            state.sink.record(BACKEND_TOKEN_TIME, tpot_s, labels)
        for tally in tallies:
            if first_token_at is not None:
                tally.ttft_s.add(first_token_at - self.began_at)
            if tpot_s is not None:
                tally.tpot_s.add(tpot_s)


PASSED_OVER = FAILED + "passed_over"
"""A request of the canary's sessions that others got at once, since replicas of the canary's had just failed."""


def noting(
    state: "RouterState", model: Model, replica: Replica, lane: Lane, arrived_at: float, *, is_first: bool = True
) -> Noting | None:
    """
    For an attempt that begins now; None for a model with one backend, of which there is nothing to compare.

    Args:
        state: where it is counted.
        model: that of the request.
        replica: who is asked.
        lane: the request's.
        arrived_at: loop time at which the request came, in seconds.
        is_first: nobody was asked before for the same answer.
    """
    trial = model.trial
    if trial is None and len(model.backends) < 2:
        return None
    label = model.backend_at(replica.application).label
    side: Side = "canary" if trial is not None and label == trial.label else "stable"
    if trial is not None and is_first and side == "stable" and _is_passed_over(state, model, trial):
        state.tallies.count(trial.id, "canary", state.loop.time(), PASSED_OVER)
    tally_id = "" if trial is None else trial.id
    labels = {"model": model.name, "engine": replica.engine, "replica": replica.replica_id, "backend": label}
    now, begin_s = state.loop.time(), model.autocomplete.deadline_s if lane.is_completion else None
    by = (_due(limit_s, arrived_at, now) for limit_s in (begin_s, model.deadlines.total_s))
    return Noting(state, labels, tally_id, side, now, *by)


def _due(limit_s: float | None, arrived_at: float, now: float) -> float:
    """When an attempt that begins now is late. It has half the time at least: it did not spend what came before."""
    return math.inf if limit_s is None else max(arrived_at + limit_s, now + limit_s / 2)


def _is_passed_over(state: "RouterState", model: Model, trial: Trial) -> bool:
    """Without that, a canary that fails all it is given would be judged by the few requests that still try it."""
    is_own, now = bool(model.backends) and model.backends[0].label == trial.label, state.loop.time()
    replicas = state.directory.of(trial.application)
    return is_own and bool(replicas) and all(one.blocked_until > now for one in replicas)  # else it has no room
