"""
The attempts at one answer: replica after replica, until one has answered or at least begun to.

    pick a replica -> fit the limit -> pipe
"""

import asyncio
import contextlib
from functools import cached_property

from router.abilities import check_abilities
from router.answer import AnswerSink
from router.call import Account, Call
from router.errors import ContextLengthExceeded, EngineOverloaded, EngineUnavailable, ServingError
from router.event_stream import Usage
from router.exchange import Exchange
from router.metrics import PICKS, RETRIES
from router.model_table import Model
from router.prefix_key import prefix_key
from router.profiles import PROFILES
from router.prompt_tokens import fit_limit
from router.replica_choice import Beginning, Pick, choose_replica
from router.replicas import BLOCKED_AFTER_FAILURE_S, Replica
from router.state import RouterState
from router.upstream import ConnectFailed, ConnectionPool, UpstreamConnection

_MAY_GO_ELSEWHERE = (EngineUnavailable, EngineOverloaded)


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
        self._limits = state.table.requests
        self._call = call
        self._model = model
        self._answer = answer
        self._account = account
        self._request_id = request_id
        self._exchange: Exchange | None = None
        self._entered = contextlib.ExitStack()
        self.replica: Replica | None = None
        """The one that was asked last: the one that answered, once there is an answer."""

    @property
    def usage(self) -> Usage | None:
        return self._exchange.usage if self._exchange else None

    def tick(self, now: float) -> None:
        """Called twice a second while it lasts. `now` is loop time, in seconds."""
        self._account.record_gaps()
        if self._exchange is not None:
            self._exchange.give_up(now, self._limits.first_byte_timeout_s, self._limits.stall_timeout_s)

    async def run(self) -> None:
        """
        Returns when the answer is over.

        Raises:
            ServingError: there is none, or only a part of one.
            ClientDisconnected: nobody takes it any more.
        """
        self._state.generations.add(self)
        try:
            with contextlib.ExitStack() as beginning:
                self._entered = beginning
                await self._run(self._call, self._model)
        finally:
            self._state.generations.discard(self)
            self._state.demand.leave(self)

    async def _run(self, call: Call, model: Model) -> None:
        tried: set[str] = set()
        failure: ServingError | None = None
        for _ in range(self._limits.max_attempts):
            pick = await self._pick(model, tried, failure)
            self._state.demand.leave(self)
            self.replica = replica = pick.replica
            if failure is not None:
                self._state.sink.record(RETRIES, 1, {**self._account.labels, "reason": failure.code})
            self._account.attempt(model, replica)
            self._state.sink.record(PICKS, 1, {**self._account.labels, "reason": pick.reason})
            check_abilities(call, model, replica)
            failure = await self._attempt(call, model, replica)
            if failure is None:
                return
            if isinstance(failure, ContextLengthExceeded):
                failure.param = call.route.prompt_field  # an engine does not know the client's route
            if self._answer.has_content or not isinstance(failure, _MAY_GO_ELSEWHERE):
                raise failure
            tried.add(replica.replica_id)
        if failure is not None:
            raise failure

    async def _pick(self, model: Model, tried: set[str], failure: ServingError | None) -> Pick:
        """
        The next replica to try, waiting for one where none is left.

        Serve replaces a dead replica, so waiting may help; it does not help against one that is overloaded.
        """
        state = self._state
        wait_s = self._limits.replica_wait_s if model.wake is None else model.wake.timeout_s
        deadline = state.loop.time() + wait_s
        while True:
            pick = self._pick_now(model, tried)
            if pick is not None:
                return pick
            if isinstance(failure, EngineOverloaded):
                raise failure
            state.demand.enter(self, model)
            try:
                async with asyncio.timeout_at(deadline):
                    await state.directory.changed()
            except TimeoutError:
                raise failure or _none_ready(model, wait_s) from None

    def _pick_now(self, model: Model, tried: set[str]) -> Pick | None:
        """Of the first application that has one which did not fail just now; else any that is left."""
        now, turn = self._state.loop.time(), self._state.next_turn()
        last_resort = None
        for application in model.applications:
            replicas = self._state.directory.of(application)
            if not replicas:
                self._state.demand.missed(application)
            has_choice = len(replicas) > 1 and model.replica_choice == "prefix"
            pick = choose_replica(replicas, self._beginning if has_choice else None, tried, now, turn)
            if pick is not None and pick.replica.blocked_until <= now:
                return pick
            last_resort = last_resort or pick
        return last_resort

    @cached_property
    def _beginning(self) -> Beginning | None:
        """Made when it is first asked for: with one replica there is nothing to choose."""
        key = prefix_key(self._call)
        return None if key is None else Beginning(key, self._entered.enter_context(self._state.beginnings.running(key)))

    async def _attempt(self, call: Call, model: Model, replica: Replica) -> ServingError | None:
        """Let one replica answer: None when it has, else why not."""
        pool = self._state.pool(replica)
        replica.num_running += 1
        try:
            name = model.adapter or replica.model
            body = await fit_limit(call, call.encode_for(name), name, replica, self._state)
            error = await self._ask(call, body, replica, pool)
        except ConnectFailed as failed:
            error = EngineUnavailable(
                f"A replica of the model {model.name!r} is unreachable: {failed}.", retry_after_s=1
            )
        finally:
            replica.num_running -= 1
        if isinstance(error, EngineUnavailable):
            replica.blocked_until = self._state.loop.time() + BLOCKED_AFTER_FAILURE_S
        return error

    async def _ask(self, call: Call, body: bytes, replica: Replica, pool: ConnectionPool) -> ServingError | None:
        """Use a connection that has served before, or a fresh one where that ends without a byte."""
        head = self._head(call, replica, body)
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
        self._exchange = Exchange(
            connection,
            self._answer,
            profile,
            self._account,
            wants_usage=call.wants_usage or self.keeps_usage,
            replaced=profile.completion_ids if call.route.prompt_field == "prompt" else None,
        )
        return self._exchange

    def _head(self, call: Call, replica: Replica, body: bytes) -> bytes:
        return (
            f"POST {call.route.path} HTTP/1.1\r\nhost: {replica.host}:{replica.port}\r\n"
            f"authorization: Bearer {replica.secret}\r\ncontent-type: application/json\r\n"
            f"x-request-id: {self._request_id.decode()}\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode()


def _none_ready(model: Model, waited_s: float) -> EngineUnavailable:
    return EngineUnavailable(
        f"No replica of the model {model.name!r} was ready within {waited_s:g} s.", retry_after_s=5
    )
