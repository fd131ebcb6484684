"""Requests in an API of its own that no engine generates for: asked, and answered whole."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import orjson

from router.call import Account, request_id
from router.errors import ClientDisconnected, MethodNotAllowed, ServingError
from router.http.answer import JSON_HEADERS
from router.http.asgi import Headers, Receive, Scope, Send
from router.http.bodies import read_body
from router.http.error_bodies import error_headers
from router.state import RouterState
from router.wire_apis.pieces import Json
from router.wire_apis.translation import ErrorWords

logger = logging.getLogger("enginehouse.router")

Reply = Callable[[RouterState, bytes, Account], Awaitable[tuple[Json, Headers]]]
"""Makes the answer to a request's body, and headers for it. Raises ServingError."""


class WireRoute(Protocol):
    """One path of an API of its own."""

    @property
    def path(self) -> str: ...

    @property
    def summary(self) -> str: ...

    @property
    def methods(self) -> tuple[str, ...]:
        """What it takes; the first is that which clients use."""

    @property
    def needs_key(self) -> bool:
        """False where it says nothing that is worth a key."""

    @property
    def errors(self) -> ErrorWords: ...

    @property
    def id_header(self) -> bytes | None: ...

    async def serve(self, state: RouterState, scope: Scope, receive: Receive, send: Send) -> None: ...


@dataclass(slots=True, frozen=True)
class QuestionRoute:
    """A path whose requests are answered whole, by `reply`."""

    path: str
    summary: str
    reply: Reply
    errors: ErrorWords
    methods: tuple[str, ...] = ("POST",)
    needs_key: bool = True
    id_header: bytes | None = None

    async def serve(self, state: RouterState, scope: Scope, receive: Receive, send: Send) -> None:
        await answer_question(self, self.reply, state, scope, receive, send)


async def serve_wire_route(route: WireRoute, state: RouterState, scope: Scope, receive: Receive, send: Send) -> None:
    """Any request for its path."""
    if scope["method"] in route.methods:
        await route.serve(state, scope, receive, send)
        return
    error = MethodNotAllowed(f"{scope['method']} is not possible at {route.path}; use {' or '.join(route.methods)}.")
    try:
        state.keys.check(scope)
    except ServingError as refused:
        await _answer_error(refused, route, state, request_id(scope), send)
    else:
        await _answer_error(error, route, state, request_id(scope), send)


async def answer_question(
    route: WireRoute, reply: Reply, state: RouterState, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer one request whole, whatever happens to it."""
    account = Account(state.sink, state.loop.time(), state.loop.time, route.path)
    named, code = request_id(scope), "ok"
    try:
        if route.needs_key:
            state.keys.check(scope)
        raw = await read_body(scope, receive, state.listener.max_body_bytes, state.listener.request_timeout_s)
        document, headers = await reply(state, raw, account)
        await _send(200, orjson.dumps(document), [*headers, *_common(route, state, named)], send)
    except ServingError as error:
        code = error.code
        await _answer_error(error, route, state, named, send)
    except (ClientDisconnected, asyncio.CancelledError) as left:
        code = "client_disconnected"
        if isinstance(left, asyncio.CancelledError):
            raise
    except Exception:
        code = ServingError.code
        logger.exception("request %s failed in the router", named.decode())
        failed = ServingError("The router failed on this request; its log says why.")
        await _answer_error(failed, route, state, named, send)
    finally:
        account.close(code)


def _common(route: WireRoute, state: RouterState, named: bytes) -> Headers:
    own = [] if route.id_header is None else [(route.id_header, named)]
    return [*state.answer_headers(named), *own]


async def _answer_error(error: ServingError, route: WireRoute, state: RouterState, named: bytes, send: Send) -> None:
    headers = [*error_headers(error), *_common(route, state, named)]
    if error.status == 405:
        headers.append((b"allow", ", ".join(route.methods).encode()))
    await _send(error.status, route.errors.body(error, named.decode()), headers, send)


async def _send(status: int, body: bytes, headers: Headers, send: Send) -> None:
    head = [*JSON_HEADERS, (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
