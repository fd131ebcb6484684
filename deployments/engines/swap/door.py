"""The door before an engine that sleeps at times: where requests wait until it is awake."""

import asyncio
import hmac
import io
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import aiohttp
from aiohttp import web
from yarl import URL

from configs.swap import SwapSettings
from deployments.engines.contract import EngineAddress
from deployments.engines.front.passage import LARGE_BODY_BYTES, refusal

RETRY_AFTER_S = 5
"""What a client that waited in vain is told to wait before it asks again, in seconds."""

CONNECT_TIMEOUT_S = 5.0
"""The engine is on this machine; it accepts within this time, in seconds, or it is lost."""

_NEED_NO_GPU = frozenset({"/tokenize", "/detokenize"})
_ASKED_HEADERS = ("Content-Type", "X-Request-Id")
_ANSWERED_HEADERS = ("Content-Type", "Content-Length", "Retry-After")
_LOST = (aiohttp.ClientError, OSError, TimeoutError)


class _NoTurnError(Exception):
    """A request may not wait, or has waited for too long; the text says which."""


class _LostError(Exception):
    """The engine does not come back: whoever waits for it had better go elsewhere."""


class Door:
    """
    Listens at `host`, on a port of its own choice, and passes requests to the engine, byte for byte, while it is open.

    `/health` is 200 without a key, open or not; every other path wants `secret`. While the door is shut POSTs wait, and
    all else is 503. Whoever only asks for tokens waits for nobody where the engine's server is there while it sleeps:
    routers ask that before they send a request, and for a few seconds only. An engine that is lost within a request
    takes the client's connection with it, as if there were no door.

    Args:
        host: where to listen.
        secret: the router's key; the engine has one of its own.
        model: its name, for messages.
        settings: how long a request waits, and how many may.
    """

    def __init__(self, host: str, secret: str, model: str, settings: SwapSettings) -> None:
        self._host = host
        self._secret = secret
        self._model = model
        self._settings = settings
        self._engine: EngineAddress | None = None
        self._is_open = False
        self._is_lost = False
        self._waiting: dict[asyncio.Future[None], float] = {}
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self.has_server_asleep = False
        """Whether the engine's server answers while the engine sleeps, as far as that takes no GPU."""
        self.waits_for = ""
        """Who has the GPU instead, for people; empty where nobody has."""
        self.num_running = 0
        """Requests that the engine has, or is about to get."""
        self.last_used_at = time.monotonic()
        """When a request last went to the engine or ended there, on the monotonic clock, in seconds."""

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    @property
    def wanted_since(self) -> float | None:
        """When the request came that waits longest, on the monotonic clock; None where none waits."""
        return min(self._waiting.values(), default=None)

    async def start(self) -> EngineAddress:
        """Begins to listen, shut. Returns where."""
        # A connection for each request: an engine that was restarted, or closes idle ones, is no matter then.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        app = web.Application(client_max_size=0)  # 0: the router has a limit
        app.router.add_get("/health", self._health)
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, 0, reuse_address=True).start()
        (listening, *_) = (each for each in self._runner.addresses)
        return EngineAddress(self._host, listening[1], self._secret)

    def open(self, engine: EngineAddress) -> None:
        """Let in all who wait, in the order in which they came, and whoever comes."""
        self._engine, self._is_open = engine, True
        for admitted in self._waiting:
            if not admitted.done():
                self.num_running += 1  # from now on, not from when it is that request's turn of the event loop
                admitted.set_result(None)
        self._waiting.clear()

    def shut(self) -> None:
        """Whoever comes from now on waits. What runs goes on."""
        self._is_open = False

    def give_up(self) -> None:
        """The engine does not come back: nobody waits for it, now or later."""
        self._is_open, self._is_lost = False, True
        for admitted in self._waiting:
            if not admitted.done():
                admitted.set_exception(_LostError())
        self._waiting.clear()

    async def close(self) -> None:
        """Cuts what still runs or waits."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(status=503 if self._is_lost else 200)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if not hmac.compare_digest(given, f"Bearer {self._secret}".encode()):
            return refusal(401, "Unauthorized", code="invalid_api_key")
        needs_turn = not (self.has_server_asleep and request.path in _NEED_NO_GPU)
        if not self._is_open and needs_turn and request.method != "POST":
            return refusal(503, f"The model {self._model!r} sleeps.", code="engine_unavailable")
        body = await request.read()
        if not needs_turn:
            return await self._pass_on(request, body)
        try:
            with await self._admitted():
                return await self._pass_on(request, body)
        except _NoTurnError as error:
            response = refusal(503, str(error), code="engine_overloaded")
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
            return response
        except _LostError:
            return _cut(request, web.StreamResponse())

    async def _admitted(self) -> AbstractContextManager[None]:
        """
        Returns when the request is one of those that run, as long as what is returned is entered.

        Raises:
            _NoTurnError, _LostError
        """
        if self._is_lost:
            raise _LostError
        if self._is_open:
            self.num_running += 1
            return self._running()
        model, group, settings = self._model, self._settings.group, self._settings
        if len(self._waiting) >= settings.max_waiting:
            raise _NoTurnError(
                f"{len(self._waiting)} requests wait already for the model {model!r} to wake{self._reason}."
            )
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[admitted] = time.monotonic()
        try:
            await asyncio.wait([admitted], timeout=settings.max_wait_s)
        except asyncio.CancelledError:  # the client has left
            if admitted.done() and admitted.exception() is None:
                self.num_running -= 1
            raise
        finally:
            self._waiting.pop(admitted, None)
        if not admitted.done():
            raise _NoTurnError(
                f"The model {model!r} sleeps, and the GPU that it shares with the group {group!r} was not free for it "
                f"within {settings.max_wait_s:g} s{self._reason}."
            )
        admitted.result()
        return self._running()

    @property
    def _reason(self) -> str:
        return f": {self.waits_for}" if self.waits_for else ""

    @contextmanager
    def _running(self) -> Iterator[None]:
        self.last_used_at = time.monotonic()
        try:
            yield
        finally:
            self.num_running -= 1
            self.last_used_at = time.monotonic()

    async def _pass_on(self, request: web.Request, body: bytes) -> web.StreamResponse:
        engine, session, answer = self._engine, self._session, web.StreamResponse()
        if engine is None or session is None:
            raise _LostError
        url = URL.build(scheme="http", host=engine.host, port=engine.port, path=request.path)
        headers = {name: request.headers[name] for name in _ASKED_HEADERS if name in request.headers}
        headers["Authorization"] = f"Bearer {engine.secret}"
        try:
            async with session.request(
                request.method,
                url.with_query(request.query_string),
                data=body if len(body) < LARGE_BODY_BYTES else io.BytesIO(body),
                headers=headers,
                skip_auto_headers=("Accept-Encoding",),
                allow_redirects=False,
            ) as upstream:
                answer.set_status(upstream.status)
                answer.headers.update({n: upstream.headers[n] for n in _ANSWERED_HEADERS if n in upstream.headers})
                await answer.prepare(request)
                async for data in upstream.content.iter_any():
                    await answer.write(data)
        except _LOST:
            return _cut(request, answer)
        await answer.write_eof()
        return answer


def _cut(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    """What a client sees of an engine that is lost."""
    if request.transport is not None:
        request.transport.close()
    return answer
