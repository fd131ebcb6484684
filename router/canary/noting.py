"""What an attempt at one backend came to, as that backend's side of a canary counts it, and its metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.canary.tally import FAILED, Side
from router.canary.trial import Trial
from router.errors import ClientDisconnected, InvalidRequest, ServingError
from router.exchange import Exchange
from router.http.event_stream import Usage
from router.metrics import BACKEND_ATTEMPTS, BACKEND_FIRST_TOKEN, BACKEND_TOKEN_TIME
from router.models.table import Model
from router.replicas.registry import Replica

if TYPE_CHECKING:  # it needs this package
    from router.state import RouterState


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
    """One attempt, from `began_at` in loop time. `tally_id` is empty where there is no canary."""

    state: "RouterState"
    labels: Mapping[str, str]
    tally_id: str
    side: Side
    began_at: float

    async def end_of(
        self, attempt: Awaitable[ServingError | None], exchange: Callable[[], Exchange | None]
    ) -> ServingError | None:
        """What the attempt returns, or raises."""
        try:
            error = await attempt
        except (asyncio.CancelledError, ClientDisconnected):
            self._count("left")
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


def noting(state: "RouterState", model: Model, replica: Replica, *, is_first: bool = True) -> Noting | None:
    """
    For an attempt that begins now; None for a model with one backend, of which there is nothing to compare.

    `is_first`: nobody was asked before for the same answer.
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
    return Noting(state, labels, tally_id, side, state.loop.time())


def _is_passed_over(state: "RouterState", model: Model, trial: Trial) -> bool:
    """Without that, a canary that fails all it is given would be judged by the few requests that still try it."""
    is_own = bool(model.backends) and model.backends[0].label == trial.label
    return is_own and bool(state.directory.of(trial.application))
