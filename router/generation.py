"""
The request path of a generation, to be read from top to bottom.

    authenticate -> parse once -> resolve the model -> share, or pick a replica and pipe -> account
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from cache.entry import Entry
from cache.leases import Holder, Lease
from configs.router import ListenerSettings
from router.caching.controls import CACHE_HEADER, read_controls
from router.caching.flight import Flight, Follower, SharedAccount
from router.caching.identity import is_deterministic
from router.caching.joining import Joining
from router.caching.leading import Leading
from router.caching.shared_answers import Making, SharedAnswers, Sharing, decide_sharing, replay
from router.call import Account, Call, Route, parse_call, request_id
from router.canary.choice import choose_backend, without_trials
from router.canary.shadowing import making_of
from router.errors import ClientDisconnected, ServingError, Superseded
from router.http.answer import Answer, AnswerSink
from router.http.asgi import BATCH_TENANT, WRITE_CHUNK, Headers, Receive, Scope, Send, WriteChunk, header
from router.http.bodies import read_body
from router.http.departure import Departure
from router.lanes.lane import PRIORITY_HEADER, Lane, decide_lane
from router.lanes.typist import Typist, typist_of
from router.models.table import Model
from router.reliability.deadlines import total_of, within_total
from router.replicas.prefix_key import session_of
from router.routing.admission import Admission
from router.state import RouterState

logger = logging.getLogger("enginehouse.router")


class Generation:
    """One request and its answer."""

    def __init__(self, state: RouterState, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        self._state = state
        self._route = route
        self._scope = scope
        self._receive = receive
        self._request_id = request_id(scope)
        extensions = scope.get("extensions", {})
        write_chunk = extensions.get(WRITE_CHUNK)
        self._batch_tenant: str | None = extensions.get(BATCH_TENANT)
        self._answer = self._open_answer(send, state.answer_headers(self._request_id), write_chunk)
        self._account = Account(state.sink, state.loop.time(), state.loop.time, route.path)
        self._table = state.table
        self._limits = state.table.requests
        self._admission = Admission(state, self._answer, self._account)
        self._departure = Departure(receive, self._answer)
        self._attempts: Making | None = None
        self._flight: Flight | None = None
        self._follower: Follower | None = None
        self._cache_outcome: str | None = None
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
        except Superseded:
            code = "superseded"
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
            self._admission.leave()
            self._departure.stop()
            if self._attempts is not None:
                self._account.count_tokens(self._attempts.usage)
            self._account.close(code, self._cache_outcome)
        if code != "client_disconnected":
            await self._answer.drained()

    async def _serve(self) -> None:
        state, listener = self._state, self._state.listener
        batch_tenant = self._batch_tenant
        tenant = state.keys.check(self._scope) if batch_tenant is None else state.keys.check_tenant(batch_tenant)
        raw = await read_body(self._scope, self._receive, self._max_body_bytes(listener), listener.request_timeout_s)
        call = self._read_call(raw)
        call, named = self._admission.admit(self._table, call, self._scope, tenant)
        model = choose_backend(named, call, tenant) if batch_tenant is None else without_trials(named)
        call.lane = self._lane(call, model)
        typist = self._typist(call, model, tenant) if call.lane.is_completion else None
        if typist is not None and model.autocomplete.supersede:
            state.completions.supersede(typist)
        if batch_tenant is None:
            self._admission.take_place(model, tenant)
        total_s = total_of(self._scope, model.deadlines)
        self._wants_stream = self._is_awaited_as_stream(call)
        state.generations.add(self)
        self._departure.watch()
        giving = self._give(call, model, tenant)
        if total_s is not None:
            giving = within_total(giving, self._account.arrived_at, total_s)
        if typist is not None:
            giving = self._give_completion(giving, call, model, typist)
        await giving

    def _lane(self, call: Call, model: Model) -> Lane:
        wish, policies = header(self._scope, PRIORITY_HEADER), (model.queue, model.autocomplete)
        return decide_lane(call.route.path, call.client_body, wish, policies, is_line=self._batch_tenant is not None)

    def _typist(self, call: Call, model: Model, tenant: str) -> Typist:
        return typist_of(self._scope, call.client_body, call.session, tenant, model.name)

    async def _give_completion(
        self, giving: Coroutine[Any, Any, None], call: Call, model: Model, typist: Typist
    ) -> None:
        """As long as the editor wants it."""
        with self._state.completions.under_way(typist, model.autocomplete, call, self._answer, self._admission):
            await giving

    async def _give(self, call: Call, model: Model, tenant: str) -> None:
        state, shared = self._state, self._state.shared_answers
        sharing = None if shared is None else self._sharing(call, model, tenant)
        if shared is not None and sharing is not None:
            await self._share(shared, sharing, call, model)
        else:
            if shared is not None:
                self._tell_cache("bypass")
            self._attempts = making_of(state, call, model, self._answer, self._account, self._request_id)
            await self._attempts.run()

    def _open_answer(self, send: Send, headers: Headers, write_chunk: WriteChunk | None) -> Answer:
        return Answer(send, headers, self._state.loop, write_chunk)

    def _max_body_bytes(self, listener: ListenerSettings) -> int:
        return listener.max_body_bytes

    def _is_awaited_as_stream(self, call: Call) -> bool:
        """Whether a client that waits may be sent headers and signs of life."""
        return call.wants_stream

    def _read_call(self, raw: bytes) -> Call:
        return parse_call(self._route, raw, session_of(self._scope))

    def _sharing(self, call: Call, model: Model, tenant: str) -> Sharing | None:
        fingerprint = self._state.directory.fingerprint(model.applications[0])
        return decide_sharing(call, model, read_controls(self._scope), tenant, fingerprint)

    async def _share(self, shared: SharedAnswers, sharing: Sharing, call: Call, model: Model) -> None:
        """From what is kept, from a generation that is under way, or from one that others may join."""
        found = await self._find(shared, sharing, call)
        if isinstance(found, Entry):
            self._tell_cache("hit")
            replay(found, call, self._answer)
            return
        self._tell_cache("joined" if isinstance(found, Flight | Holder) else "miss")
        flight = found if isinstance(found, Flight) else self._launch(shared, sharing, call, model, found)
        await self._follow(shared, flight, call)

    async def _find(
        self, shared: SharedAnswers, sharing: Sharing, call: Call
    ) -> Entry | Flight | Holder | Lease | None:
        """The answer, or who makes it; a lease where nobody does, and None where nobody can know."""
        found = (
            shared.flight(sharing, call)
            or await shared.look_up(sharing)
            or shared.flight(sharing, call)  # begun while we looked
            or await shared.claim(sharing, call)
        )
        if isinstance(found, Entry):
            return found
        return shared.flight(sharing, call) or found  # begun while we asked

    def _launch(
        self, shared: SharedAnswers, sharing: Sharing, call: Call, model: Model, claim: Lease | Holder | None
    ) -> Flight:
        state = self._state
        account = SharedAccount(state.sink, self._account.arrived_at, state.loop.time, call.route.path)
        flight = Flight(state.loop, account, shared.max_entry_bytes)

        def attempts(sink: AnswerSink) -> Making:
            made = making_of(state, call, model, sink, account, self._request_id)
            made.keeps_usage = True  # for those followers who want it
            return made

        leading = Leading(flight, attempts, is_repeatable=is_deterministic(call))
        making = Joining(state, sharing, call, flight, leading, claim) if isinstance(claim, Holder) else leading
        shared.launch(flight, making, sharing, call)
        if isinstance(claim, Lease):
            shared.hold(flight, claim)
        return flight

    async def _follow(self, shared: SharedAnswers, flight: Flight, call: Call) -> None:
        self._state.lanes.urge(flight.account, call.lane)
        self._admission.account = flight.account
        self._flight = flight
        self._follower = flight.join(self._answer, self._account, wants_usage=call.wants_usage)
        try:
            await self._follower.ended
        finally:
            self._account.labels = flight.account.labels
            shared.leave(flight, self._follower)

    def tick(self, now: float) -> None:
        """Called twice a second while the request lasts. `now` is loop time, in seconds."""
        if self._follower is not None:
            self._follower.give_up(now, self._limits.stall_timeout_s)
        waits_for_content = self._wants_stream and (not self._answer.has_content or self._is_pausing())
        if waits_for_content and now - self._last_sign_at >= self._limits.early_headers_s:
            self._last_sign_at = now
            self._answer.keep_alive()

    def _is_pausing(self) -> bool:
        if self._attempts is not None:
            return self._attempts.is_pausing
        shared, flight = self._state.shared_answers, self._flight
        return shared is not None and flight is not None and shared.is_pausing(flight)

    def _tell_cache(self, outcome: str) -> None:
        self._cache_outcome = outcome
        self._answer.add_header(CACHE_HEADER, outcome.encode())

    def _log(self, error: ServingError) -> None:
        level = logging.WARNING if error.status >= 500 else logging.INFO
        labels = self._account.labels
        logger.log(
            level,
            "request %s for model %r ended with %d %s (replica %s): %s",
            self._request_id.decode(), labels["model"], error.status, error.code, labels["replica"] or "none", error,
        )  # fmt: skip
