"""The front's own server: its address, its secret, and who may ask what."""

import hmac
from types import TracebackType
from typing import Self

import aiohttp
import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from deployments.engines.contract import EngineAddress
from deployments.engines.front.counts import Counts, write_load
from deployments.engines.front.dialect import Dialect, Tell
from deployments.engines.front.passage import Passage, note_kept_connections, refusal
from deployments.engines.front.untouched import UNTOUCHED_PATHS, UntouchedPassage
from router.replicas.statement import Statement

KEEP_ALIVE_S = 3.0
"""How long a connection to the server behind is kept idle, in seconds: `trtllm-serve` closes its own after 5."""

QUESTION_TIMEOUT_S = 2.5
"""Longest wait for the server's health and load, in seconds: below the 3 s after which the replica stops waiting."""


class Front:
    """
    Listens at `host`, on a port of its own choice, until it is closed.

    `/health` is 200 without a key once the dialect says that the server is healthy. `/metrics` tells the load, and
    `/v1/models` the one model and its context. The dialect's paths take requests. All else is 404.
    """

    def __init__(self, dialect: Dialect, model: str, host: str, secret: str) -> None:
        self._dialect = dialect
        self._model = model
        self._host = host
        self._secret = secret
        self._counts = Counts()
        self._session: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self.health_failure = ""
        """Why the last question for the server's health was not answered well; empty when it was."""
        self.is_hopeless = False
        """Whether no later question will be answered better: its certificate is not one to be trusted."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> EngineAddress:
        """Begins to listen. Returns where."""
        upstream = self._dialect.upstream
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S, ssl=upstream.tls)
        timeout = aiohttp.ClientTimeout(total=QUESTION_TIMEOUT_S, sock_connect=upstream.connect_timeout_s)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=upstream.headers,
            timeout=timeout,
            trace_configs=[note_kept_connections()],
        )
        passage = Passage(self._dialect, self._session, self._counts)
        untouched = UntouchedPassage(self._dialect, self._session, self._counts)
        app = web.Application(middlewares=[self._only_with_the_secret], client_max_size=0)  # 0: the router has a limit
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/v1/models", self._models)
        for path in self._dialect.paths:
            app.router.add_post(path, (untouched if path in UNTOUCHED_PATHS else passage).take)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, 0, reuse_address=True)
        await site.start()
        (listening, *_) = (each for each in self._runner.addresses)
        return EngineAddress(self._host, listening[1], self._secret)

    async def prepare(self, tell: Tell) -> None:
        """
        Raises:
            EngineStartError: the server cannot serve the model.
        """
        await self._dialect.prepare(self._open_session, tell)

    @property
    def statement(self) -> Statement | None:
        """What the server says of its model, once it is prepared; None where that is the engine's to tell."""
        return self._dialect.statement

    async def close(self) -> None:
        """Cuts what still runs."""
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    @property
    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the front was not started")
        return self._session

    @web.middleware
    async def _only_with_the_secret(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        expected = f"Bearer {self._secret}".encode()
        if request.path != "/health" and not hmac.compare_digest(given, expected):
            return refusal(401, "Unauthorized", code="invalid_api_key")
        try:
            return await handler(request)
        except web.HTTPException as error:
            return refusal(error.status, f"There is no {request.method} {request.path} here.", code="not_found")

    async def _health(self, _: web.Request) -> web.Response:
        try:
            is_healthy = await self._dialect.is_healthy(self._open_session)
            self.health_failure = "" if is_healthy else f"{self._dialect.upstream.url} is not healthy"
        except (aiohttp.ClientError, OSError) as error:  # a TimeoutError is an OSError
            self.is_hopeless = isinstance(error, aiohttp.ClientConnectorCertificateError)
            self.health_failure = f"{self._dialect.upstream.url} does not answer: {str(error) or 'timed out'}"
        return web.Response(status=503 if self.health_failure else 200)

    async def _metrics(self, _: web.Request) -> web.Response:
        try:
            load = await self._dialect.read_load(self._open_session, self._counts.now())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return refusal(503, f"The engine told no load: {error!r}.")
        return web.Response(text=write_load(load))

    async def _models(self, _: web.Request) -> web.Response:
        card = {"id": self._model, "object": "model", "owned_by": "enginehouse"}
        if self._dialect.max_model_len is not None:
            card["max_model_len"] = self._dialect.max_model_len  # type: ignore[assignment]
        body = orjson.dumps({"object": "list", "data": [card]})
        return web.Response(body=body, content_type="application/json")
