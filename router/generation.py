"""
The request path of a generation, to be read from top to bottom.

    authenticate -> parse once -> resolve the model -> pick a replica -> pipe -> account
"""

import asyncio
import logging

from router.abilities import check_abilities
from router.answer import Answer
from router.asgi import WRITE_CHUNK, Receive, Scope, Send
from router.bodies import read_body
from router.call import Account, Call, Route, parse_call, request_id
from router.departure import Departure
from router.errors import ClientDisconnected, ContextLengthExceeded, EngineOverloaded, EngineUnavailable, ServingError
from router.exchange import Exchange
from router.metrics import RETRIES
from router.model_table import Model
from router.profiles import PROFILES
from router.prompt_tokens import fit_limit
from router.replicas import BLOCKED_AFTER_FAILURE_S, Replica, pick_replica
from router.state import RouterState
from router.upstream import ConnectFailed, ConnectionPool, UpstreamConnection

logger = logging.getLogger("enginehouse.router")

_MAY_GO_ELSEWHERE = (EngineUnavailable, EngineOverloaded)


class Generation:
    """One request and its answer."""

    def __init__(self, state: RouterState, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        self._state = state
        self._route = route
        self._scope = scope
        self._receive = receive
        self._request_id = request_id(scope)
        write_chunk = scope.get("extensions", {}).get(WRITE_CHUNK)
        self._answer = Answer(send, state.answer_headers(self._request_id), state.loop, write_chunk)
        self._account = Account(state.sink, state.loop.time(), state.loop.time, route.path)
        self._table = state.table
        self._limits = state.table.requests
        self._departure = Departure(receive, self._answer)
        self._exchange: Exchange | None = None
        self._wants_stream = False
        self._last_sign_at = self._account.arrived_at

    async def serve(self) -> None:
        """Answer the request, whatever happens to it."""
        code = "ok"
        try:
            await self._serve()
        except ServingError as error:
            code = error.code
            self._log(error)
            self._answer.fail(error)
        except ClientDisconnected:
            code = "client_disconnected"
        except asyncio.CancelledError:
            code = "client_disconnected"
            if not self._departure.has_left:
                raise
        except Exception:
            code = ServingError.code
            logger.exception("request %s failed in the router", self._request_id.decode())
            self._answer.fail(ServingError("The router failed on this request; its log says why."))
        finally:
            self._state.generations.discard(self)
            self._departure.stop()
            usage = self._exchange.usage if self._exchange else None
            self._account.close(code, usage)
        if code != "client_disconnected":
            await self._answer.drained()

    async def _serve(self) -> None:
        state, listener = self._state, self._state.listener
        state.keys.check(self._scope)
        raw = await read_body(self._scope, self._receive, listener.max_body_bytes, listener.request_timeout_s)
        call = parse_call(self._route, raw)
        model = self._table.resolve(call.model_name)
        self._account.labels["model"] = model.name
        self._wants_stream = call.wants_stream
        state.generations.add(self)
        self._departure.watch()
        await self._generate(call, model)

    async def _generate(self, call: Call, model: Model) -> None:
        """Try replicas, one after another, until one has answered or at least begun to."""
        tried: set[str] = set()
        failure: ServingError | None = None
        for _ in range(self._limits.max_attempts):
            replica = await self._pick(model, tried, failure)
            if failure is not None:
                self._state.sink.record(RETRIES, 1, {**self._account.labels, "reason": failure.code})
            self._account.attempt(model, replica)
            check_abilities(call, model, replica)
            failure = await self._attempt(call, model, replica)
            if failure is None:
                return
            if isinstance(failure, ContextLengthExceeded):
                failure.param = self._route.prompt_field  # an engine does not know the client's route
            if self._answer.has_content or not isinstance(failure, _MAY_GO_ELSEWHERE):
                raise failure
            tried.add(replica.replica_id)
        if failure is not None:
            raise failure

    async def _pick(self, model: Model, tried: set[str], failure: ServingError | None) -> Replica:
        """
        The next replica to try, waiting for one where none is left.

        Serve replaces a dead replica, so waiting may help; it does not help against one that is overloaded.
        """
        state = self._state
        deadline = state.loop.time() + self._limits.replica_wait_s
        while True:
            replica = self._pick_now(model, tried)
            if replica is not None:
                return replica
            if isinstance(failure, EngineOverloaded):
                raise failure
            try:
                async with asyncio.timeout_at(deadline):
                    await state.directory.changed()
            except TimeoutError:
                raise failure or _none_ready(model, self._limits.replica_wait_s) from None

    def _pick_now(self, model: Model, tried: set[str]) -> Replica | None:
        """Of the first application that has one which did not fail just now; else any that is left."""
        now, turn = self._state.loop.time(), self._state.next_turn()
        last_resort = None
        for application in model.applications:
            replica = pick_replica(self._state.directory.of(application), tried, now, turn)
            if replica is not None and replica.blocked_until <= now:
                return replica
            last_resort = last_resort or replica
        return last_resort

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
            wants_usage=call.wants_usage,
            replaced=profile.completion_ids if call.route.prompt_field == "prompt" else None,
        )
        return self._exchange

    def _head(self, call: Call, replica: Replica, body: bytes) -> bytes:
        return (
            f"POST {call.route.path} HTTP/1.1\r\nhost: {replica.host}:{replica.port}\r\n"
            f"authorization: Bearer {replica.secret}\r\ncontent-type: application/json\r\n"
            f"x-request-id: {self._request_id.decode()}\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode()

    def tick(self, now: float) -> None:
        """Called twice a second while the request lasts. `now` is loop time, in seconds."""
        limits = self._limits
        self._account.record_gaps()
        if self._exchange is not None:
            self._exchange.give_up(now, limits.first_byte_timeout_s, limits.stall_timeout_s)
        waits_for_content = self._wants_stream and not self._answer.has_content
        if waits_for_content and now - self._last_sign_at >= limits.early_headers_s:
            self._last_sign_at = now
            self._answer.keep_alive()

    def _log(self, error: ServingError) -> None:
        level = logging.WARNING if error.status >= 500 else logging.INFO
        labels = self._account.labels
        logger.log(
            level,
            "request %s for model %r ended with %d %s (replica %s): %s",
            self._request_id.decode(), labels["model"], error.status, error.code, labels["replica"] or "none", error,
        )  # fmt: skip


def _none_ready(model: Model, waited_s: float) -> EngineUnavailable:
    return EngineUnavailable(
        f"No replica of the model {model.name!r} was ready within {waited_s:g} s.", retry_after_s=5
    )
