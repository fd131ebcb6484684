"""
The attempts at one answer: replica after replica, until one has given it, or the rest of it.

    pick a replica -> fit the limit -> pipe -> where that breaks: who else, and from where
"""

import random
from functools import partial
from typing import NoReturn

from router.call import Account, Call
from router.canary.noting import noting
from router.errors import (
    ContextLengthExceeded,
    EngineFailed,
    EngineOverloaded,
    EngineTimeout,
    EngineUnavailable,
    ServingError,
)
from router.exchange import Exchange
from router.fitting.abilities import check_abilities
from router.fitting.fit import fit_for
from router.fitting.profiles import PROFILES
from router.fitting.prompt_tokens import fit_limit
from router.http.answer import AnswerSink
from router.http.event_stream import Usage
from router.lanes.lane import ENGINE_PRIORITIES
from router.metrics import HEDGES, PICKS, REFUSED_RETRIES, RETRIES
from router.models.table import Model
from router.passed_answer import PassedExchange
from router.picking import Picking
from router.reliability.continuation import Continuation
from router.reliability.race import Race, Run
from router.reliability.resumption import LaterMeter, Resumption
from router.reliability.suspicion import is_clear_loss
from router.replicas.registry import Replica
from router.replicas.upstream import ConnectFailed, ConnectionPool, UpstreamConnection
from router.state import RouterState
from router.text_logprobs import TextLogprobsExchange

_MAY_BE_ASKED_AGAIN = (EngineUnavailable, EngineOverloaded)
_MAY_GO_ELSEWHERE = (*_MAY_BE_ASKED_AGAIN, EngineTimeout)
"""The same for streams: a whole answer that takes too long would take too long again."""


class Attempts:
    """
    One generation, whoever takes it.

    Its answer is a stream with the usage at its end where the call, or whoever made `keeps_usage` true, wants that.
    """

    keeps_usage = False

    def __init__(
        self, state: RouterState, call: Call, model: Model, answer: AnswerSink, account: Account, request_id: bytes
    ) -> None:
        self._state = state
        self._limits = model.requests
        self._call = call
        self._model = model
        self._answer = answer
        self._account = account
        self._request_id = request_id
        self._record = state.record_of(model.name)
        self._resumption = Resumption(state, call, model, answer)
        self._rest: Continuation | None = None
        """What joins the rest of an answer to its first part, once that has broken."""
        self._exchange: Exchange | None = None
        self._exchanges: dict[Replica, Exchange] = {}
        """Of the attempts under way, by replica: there are two while a request is hedged."""
        self._race: Race | None = None
        self._is_free = self._has_moved = self._has_asked = False
        self._ticket = state.lanes.ticket(model, call.lane, account)
        self._picking = Picking(state, call, model, self._ticket, self._resumption)
        self._replica: Replica | None = None

    @property
    def replica(self) -> Replica | None:
        """The one that gave the answer, or was asked last. None where several gave a part of it."""
        return None if self._resumption.is_under_way else self._replica

    @property
    def usage(self) -> Usage | None:
        if self._resumption.is_under_way:
            return self._resumption.usage
        return self._exchange.usage if self._exchange else None

    @property
    def is_pausing(self) -> bool:
        """Whether the client has a part of the answer, and nobody gives it more at the moment."""
        return self._resumption.is_pausing

    @property
    def is_over(self) -> bool:
        """Whether its prompt has been read: its answer has begun."""
        return self._exchange is not None and self._exchange.has_token

    def tick(self, now: float) -> None:
        """Called twice a second while it lasts. `now` is loop time, in seconds."""
        self._account.record_gaps()
        self._resumption.measure()
        deadlines, client_s = self._model.deadlines, self._limits.stall_timeout_s
        for replica, exchange in tuple(self._exchanges.items()):
            _hear(replica, exchange)
            if self._resumption.kept is None:
                exchange.kept = None  # it is too long by now
            exchange.give_up(now, deadlines.first_token_s, deadlines.between_tokens_s, client_s)

    async def run(self) -> None:
        """
        Returns when the answer is over.

        Raises:
            ServingError: there is none, or only a part of one.
            ClientDisconnected: nobody takes it any more.
        """
        self._record.budget.note_request(self._state.loop.time(), self._model.reliability.retries)
        self._state.generations.add(self)
        self._state.lanes.enter(self._ticket)
        try:
            await self._run(self._call, self._model)
        finally:
            self._picking.leave()
            self._state.generations.discard(self)
            self._state.lanes.leave(self._ticket)

    async def _run(self, call: Call, model: Model) -> None:
        tried: set[str] = set()
        failure: ServingError | None = None
        for num_before in range(self._limits.max_attempts):
            is_last = num_before + 1 == self._limits.max_attempts
            if is_last and num_before > 1:
                self._turn_to_fallback(tried)
            pick = self._picking.at_once(tried) or await self._picking.next(
                tried, failure, self._limits.max_attempts - num_before
            )
            self._replica = replica = pick.replica
            if failure is not None:
                self._pay_for_retry(failure)
                self._state.sink.record(RETRIES, 1, {**self._account.labels, "reason": failure.code})
            self._account.attempt(model, replica)
            self._state.sink.record(PICKS, 1, {**self._account.labels, "reason": pick.reason})
            check_abilities(call, model, replica)
            if self._resumption.is_under_way:
                call, self._rest = await self._resumption.rest_from(replica, keeps_usage=self.keeps_usage)
            delay_s = self._hedging_delay_s(call)
            if delay_s is None:
                latest = await self._attempt(call, model, replica)
            else:
                latest = await self._hedged(call, model, replica, tried, delay_s)
            if latest is None:
                return
            failure = self._judge(latest, tried, is_last=is_last)
        if failure is not None:
            raise failure

    def _judge(self, failure: ServingError, tried: set[str], *, is_last: bool) -> ServingError:
        """
        What the client is told if nobody answers.

        Raises:
            ServingError: that, where nobody else is to be asked.
        """
        if isinstance(failure, ContextLengthExceeded):
            failure.param = self._call.route.prompt_field  # an engine does not know the client's route
        is_lost = isinstance(failure, EngineUnavailable) or (self._exchange is not None and self._exchange.is_lost)
        if self._answer.has_content and self._replica is not None:
            failure = self._resumption.broken_by(failure, self._replica, self._account.labels)
        elif not isinstance(failure, _MAY_GO_ELSEWHERE if self._call.wants_stream else _MAY_BE_ASKED_AGAIN):
            raise failure
        if is_last:
            failure.is_final = True
            raise failure
        if self._replica is not None:
            tried.add(self._replica.replica_id)
        is_spent = self._record.budget.is_spent(self._state.loop.time(), self._model.reliability.retries)
        # Retries are to spare the model itself, which a fallback does, too.
        self._is_free = not self._has_moved and (is_lost or (is_spent and self._turn_to_fallback(tried)))
        if is_spent and not self._is_free:
            self._refuse_retry(failure)
        return failure

    def _turn_to_fallback(self, tried: set[str]) -> bool:
        """As `Picking.turn_from`, for an answer of which nothing is sent yet."""
        if self._replica is None or self._resumption.is_under_way:
            return False
        return self._picking.turn_from(self._replica.application, tried)

    def _pay_for_retry(self, failure: ServingError) -> None:
        """
        The first loss is free: a replica that is gone does nothing for the request, so nothing is added to it. So is,
        once the budget is spent, the first turn to a fallback.
        """
        if self._is_free:
            self._has_moved = True
        elif not self._record.budget.take(self._state.loop.time(), self._model.reliability.retries):
            self._refuse_retry(failure)

    def _refuse_retry(self, failure: ServingError) -> NoReturn:
        self._state.sink.record(REFUSED_RETRIES, 1, self._account.labels)
        failure.is_final = True
        raise failure

    def _hedging_delay_s(self, call: Call) -> float | None:
        """After which a second replica is asked, too, in seconds; None where none is."""
        hedging = self._model.reliability.hedging
        if not hedging.enabled or not call.wants_stream or self._resumption.is_under_way:
            return None
        return self._record.hedge_after_s(len(self._call.raw), hedging)

    async def _hedged(
        self, call: Call, model: Model, replica: Replica, tried: set[str], delay_s: float
    ) -> ServingError | None:
        """An attempt, and one at a second replica should the first be slow to begin."""
        self._race = Race()
        second: list[Replica] = []
        try:
            first = self._attempt(call, model, replica)
            ask_second = partial(self._ask_second, call, model, replica, tried, second)
            winner, failure = await self._race.run(replica.replica_id, first, delay_s, ask_second)
        finally:
            self._race = None
        for other in second:
            labels = {"model": model.name, "engine": other.engine, "replica": other.replica_id}
            outcome = "won" if winner == other.replica_id else "lost"
            self._state.sink.record(HEDGES, 1, {**labels, "outcome": outcome})
            if not self._answer.has_content:
                tried.add(other.replica_id)
        return failure

    def _ask_second(
        self, call: Call, model: Model, first: Replica, tried: set[str], second: list[Replica]
    ) -> tuple[str, Run] | None:
        """An attempt at another replica, which is put into `second`. None where there is none, or no budget for it."""
        pick = self._picking.now({*tried, first.replica_id})
        now = self._state.loop.time()
        if pick is None or pick.replica.blocked_until > now or pick.replica.task != call.route.task:
            return None
        if model.trial is not None and pick.replica.application != first.application:
            return None  # how slow either side is would be known of neither
        if pick.replica.is_suspect(now) and not first.is_suspect(now):  # the first one is the better hope
            return None
        if not self._state.lanes.admits(self._ticket, pick.replica):
            return None
        if not self._record.budget.take(now, model.reliability.retries):
            self._state.sink.record(REFUSED_RETRIES, 1, self._account.labels)
            return None
        second.append(pick.replica)
        return pick.replica.replica_id, self._attempt(call, model, pick.replica)

    def _begun(self, replica: Replica, exchange: Exchange) -> None:
        """The first token of a replica is there, and not yet passed on."""
        replica.breaker.succeeded()
        now = self._state.loop.time()
        replica.hear(now)
        is_looked_at = self._ticket.lane.priority == "interactive" and not self._picking.has_lacked_replica
        if is_looked_at and not self._resumption.is_under_way:
            self._state.first_tokens.note(replica.application, now, now - self._account.arrived_at)
        if self._model.reliability.hedging.enabled:
            self._record.note_first_token(len(self._call.raw), now - exchange.asked_at)
        if self._race is not None:
            for other, others in self._exchanges.items():
                if others is not exchange:
                    others.abort()
                    if is_clear_loss(now - others.asked_at, now - exchange.asked_at):
                        self._suspect(other, now, "another one began long before it")
            self._race.begun(replica.replica_id)
            self._replica, self._exchange = replica, exchange
            self._account.attempt(self._model, replica)

    def _attempt(self, call: Call, model: Model, replica: Replica) -> Run:
        """Let one replica answer: None when it has, else why not."""
        lane, arrived_at = self._ticket.lane, self._account.arrived_at
        noted = noting(self._state, model, replica, lane, arrived_at, is_first=not self._has_asked)
        self._has_asked = True
        if noted is None:
            return self._pipe(call, model, replica)
        return noted.end_of(partial(self._pipe, call, model, replica), lambda: self._exchange)

    async def _pipe(self, call: Call, model: Model, replica: Replica) -> ServingError | None:
        pool = self._state.pool(replica)
        is_completion = self._ticket.lane.is_completion
        replica.begin(is_completion=is_completion)
        replica.prefills[self] = len(call.raw)
        try:
            name = model.adapter_at(replica.application) or replica.model
            call = fit_for(replica, call, model)
            replica.breaker.asked(self._state.loop.time(), model.reliability.circuit_breaker)
            replica.suspicion.asked(self._state.loop.time())
            priority = ENGINE_PRIORITIES[self._ticket.lane.priority] if replica.has_priorities else None
            max_prompt_tokens = None if self._resumption.is_under_way else model.limits.max_prompt_tokens
            encoded = call.encode_for(name, priority)
            body = await fit_limit(call, encoded, name, replica, self._state, max_prompt_tokens)
            error = await self._ask(call, body, replica, pool)
        except ConnectFailed as failed:
            error = EngineUnavailable(
                f"A replica of the model {model.name!r} is unreachable: {failed}.", retry_after_s=1
            )
        except BaseException:
            replica.breaker.left(self._state.loop.time())
            raise
        finally:
            replica.end(is_completion=is_completion)
            replica.prefills.pop(self, None)
            exchange = self._exchanges.pop(replica, None)
            if exchange is not None:
                _hear(replica, exchange)
            self._state.lanes.serve(replica.application)
        self._tell_breaker(replica, error, exchange)
        return error

    def _tell_breaker(self, replica: Replica, error: ServingError | None, exchange: Exchange | None) -> None:
        is_lost = isinstance(error, EngineUnavailable) or (
            error is not None and exchange is not None and exchange.is_lost
        )
        if error is not None and (is_lost or isinstance(error, EngineFailed | EngineTimeout)):
            policy, now = self._model.reliability.circuit_breaker, self._state.loop.time()
            if replica.breaker.failed(now, policy, random.random(), is_lost=is_lost):  # noqa: S311 - no secret
                self._state.opened(replica, error.code)
            if isinstance(error, EngineTimeout):
                self._suspect(replica, now, error.message)
        else:
            replica.breaker.succeeded()

    def _suspect(self, replica: Replica, now: float, reason: str) -> None:
        if replica.suspicion.suspect(now):
            self._state.suspected(replica, reason)

    async def _ask(self, call: Call, body: bytes, replica: Replica, pool: ConnectionPool) -> ServingError | None:
        """Use a connection that has served before, or a fresh one where that ends without a byte."""
        head = request_head(call, replica, body, self._request_id)
        connection = pool.take_idle()
        if connection is not None:
            exchange = self._begin(connection, call, replica)
            error = await exchange.run(head, body)
            if exchange.has_head or not isinstance(error, EngineUnavailable):
                return error
        connection = await pool.connect(self._limits.connect_timeout_s)
        return await self._begin(connection, call, replica).run(head, body)

    def _begin(self, connection: UpstreamConnection, call: Call, replica: Replica) -> Exchange:
        profile = PROFILES[replica.profile]
        exchange: Exchange
        sink: AnswerSink = self._answer if self._rest is None else self._rest
        unread = sink.unread
        if unread is not None:
            exchange = PassedExchange(connection, unread, profile, self._account, call, self._model)
        else:
            is_text = call.route.prompt_field == "prompt"
            is_recast = is_text and profile.has_chats_logprobs and call.body.get("logprobs") is not None
            exchange = (TextLogprobsExchange if is_recast else Exchange)(
                connection,
                sink,
                profile,
                self._account,
                wants_usage=call.wants_usage or self.keeps_usage,
                replaced=profile.completion_ids if is_text else None,
            )
        if self._rest is not None:
            exchange.meter = LaterMeter(self._account)
            self._rest.on_diverged = exchange.fail
        else:
            exchange.kept = self._resumption.kept
        exchange.on_begun = partial(self._begun, replica, exchange)
        self._exchange = self._exchanges[replica] = exchange
        return exchange


def _hear(replica: Replica, exchange: Exchange) -> None:
    if exchange.heard_at is not None:
        replica.hear(exchange.heard_at)


def request_head(call: Call, replica: Replica, body: bytes, request_id: bytes) -> bytes:
    """The head of a call's request to a replica, whose body is `body`."""
    return (
        f"POST {call.route.path} HTTP/1.1\r\nhost: {replica.host}:{replica.port}\r\n"
        f"authorization: Bearer {replica.secret}\r\ncontent-type: {call.content_type}\r\n"
        f"x-request-id: {request_id.decode()}\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode()
