"""One request as it is sent to a shadow, too: asked, compared with what the client got, counted."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from router.attempts import request_head
from router.call import Call
from router.canary.comparing import differences, shape_of
from router.canary.hearing import Heard, Keeping
from router.canary.noting import outcome_of_attempt, time_per_token
from router.canary.shadow import Shadow
from router.canary.tally import Side
from router.errors import EngineTimeout, EngineUnavailable, ServingError
from router.exchange import Exchange
from router.fim.filling import as_written
from router.fitting.abilities import check_abilities
from router.fitting.fit import fit_for
from router.fitting.profiles import PROFILES
from router.fitting.prompt_tokens import fit_limit
from router.http.event_stream import Usage
from router.metrics import SHADOW_DIFFERENCES, SHADOW_REQUESTS, SHADOW_SECONDS
from router.models.table import Model
from router.replicas.registry import Replica
from router.replicas.upstream import ConnectFailed
from router.state import RouterState


@dataclass(slots=True, frozen=True)
class Result:
    """How the client's answer, or its copy, came out. `began_at` is loop time, in seconds."""

    error: ServingError | None
    heard: Heard
    usage: Usage | None
    began_at: float

    @property
    def is_comparable(self) -> bool:
        """An error is; an answer that was too long to be kept is not."""
        return self.error is not None or self.heard.is_whole


@dataclass(slots=True, frozen=True)
class Copy:
    """`replica` is that which gets it; None where it is dropped."""

    state: RouterState
    call: Call
    model: Model
    shadow: Shadow
    replica: Replica | None
    request_id: bytes

    async def answer(self, replica: Replica) -> Result:
        """What the shadow's replica makes of it. Cancelling it aborts the request in the engine."""
        now = self.state.loop.time
        began_at, heard = now(), Heard(now)
        exchanges: list[Exchange] = []
        replica.begin()
        try:
            async with asyncio.timeout(self.shadow.timeout_s):
                error = await self._ask(replica, heard, exchanges.append)
        except TimeoutError:
            error = EngineTimeout(f"The copy took longer than {self.shadow.timeout_s:g} s.")
        except ConnectFailed as failed:
            error = EngineUnavailable(f"The shadow is unreachable: {failed}.")
        except ServingError as refusal:
            error = refusal
        finally:
            replica.end()
            self.state.lanes.serve(replica.application)
        return Result(error, heard, exchanges[0].usage if exchanges else None, began_at)

    async def _ask(self, replica: Replica, heard: Heard, begin: Callable[[Exchange], None]) -> ServingError | None:
        state, model = self.state, self.model
        check_abilities(self.call, model, replica)
        call = fit_for(replica, as_written(self.call), model)
        name = self.shadow.backend.adapter or replica.model
        body = await fit_limit(call, call.encode_for(name), name, replica, state, model.limits.max_prompt_tokens)
        # A fresh connection: one that has served before may be ending, which would be no fault of the engine.
        connection = await state.pool(replica).connect(state.table.requests.connect_timeout_s)
        exchange = Exchange(connection, Keeping(heard), PROFILES[replica.profile], _NoMeter(), wants_usage=True)
        begin(exchange)
        return await exchange.run(request_head(call, replica, body, self.request_id), body)

    def compare(self, client: Result, shadow: Result) -> None:
        """Count both, and in what they differ."""
        self._note("client", client)
        self._note("shadow", shadow)
        if not (client.is_comparable and shadow.is_comparable):
            self.count("uncompared")
            return
        call = self.call
        shapes = [
            None if one.error is not None else shape_of(one.heard.data, call, is_stream=one.heard.is_stream)
            for one in (client, shadow)
        ]
        kinds = differences(*shapes)
        self.count("different" if kinds else "equal", *kinds)

    def count(self, outcome: str, *kinds: str) -> None:
        """`outcome` as in `SHADOW_REQUESTS`; `kinds` as in `SHADOW_DIFFERENCES`."""
        state, shadow = self.state, self.shadow
        labels = self._labels()
        state.sink.record(SHADOW_REQUESTS, 1, {**labels, "outcome": outcome})
        for kind in kinds:
            state.sink.record(SHADOW_DIFFERENCES, 1, {**labels, "kind": kind})
        state.tallies.count(shadow.tally_id, "shadow", state.loop.time(), outcome, *kinds)

    def _labels(self) -> dict[str, str]:
        engine, replica_id = ("", "") if self.replica is None else (self.replica.engine, self.replica.replica_id)
        backend = self.shadow.backend.label
        return {"model": self.model.name, "engine": engine, "replica": replica_id, "backend": backend}

    def _note(self, side: Side, result: Result) -> None:
        state, heard = self.state, result.heard
        if result.error is None:
            duration_s = heard.last_at - result.began_at
            state.sink.record(SHADOW_SECONDS, duration_s, {**self._labels(), "side": side})
        first_at = heard.first_at if heard.is_stream and result.error is None else None
        tpot_s = time_per_token(first_at, heard.last_at, result.usage)
        for tally in state.tallies.of(self.shadow.tally_id, side, state.loop.time()):
            tally.counts[outcome_of_attempt(result.error)] += 1
            if first_at is not None:
                tally.ttft_s.add(first_at - result.began_at)
            if tpot_s is not None:
                tally.tpot_s.add(tpot_s)


class _NoMeter:
    """A copy's tokens are nobody's."""

    def first_token(self) -> None: ...

    def next_token(self, gap_s: float) -> None: ...
