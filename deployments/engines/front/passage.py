"""One request through a front: to the server behind it, and its answer back."""

import asyncio
import contextlib
import io
import logging
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace

import aiohttp
import orjson
from aiohttp import web

from deployments.engines.front.counts import Counts
from deployments.engines.front.dialect import Conversation, Dialect, JsonObject, RequestRefused
from deployments.engines.front.wire import DONE, EventReader, encode_event, error_document, read_error

logger = logging.getLogger("enginehouse.engine")

HOP_LOST = (aiohttp.ClientError, OSError, TimeoutError)
"""What a connection to the server behind may end with."""

LARGE_BODY_BYTES = 2**20
"""Bodies from here on are sent in pieces: aiohttp would hold up every other answer for one of them, and warns."""

END_TIMEOUT_S = 0.5
"""How long the server may take to end a stream behind its end mark, for its connection to be used again."""


class UpstreamBroke(Exception):
    """The server broke off its stream; the text says how."""


def refusal(status: int, message: str, *, param: str | None = None, code: str | None = None) -> web.Response:
    document = error_document(status, message, param=param, code=code)
    return web.Response(status=status, body=orjson.dumps(document), content_type="application/json")


class Passage:
    """Takes requests of one front to the server behind it."""

    def __init__(self, dialect: Dialect, session: aiohttp.ClientSession, counts: Counts) -> None:
        self._dialect = dialect
        self._session = session
        self._counts = counts
        # Only connecting has a limit: how long an answer may take is the router's business.
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=dialect.upstream.connect_timeout_s)

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Answers one request, whatever happens. A client that leaves cancels this, and so the server's work."""
        try:
            body = orjson.loads(await request.read())
        except orjson.JSONDecodeError as error:
            return refusal(400, f"The body is not JSON: {error}.")
        if not isinstance(body, dict):
            return refusal(400, "The body must be a JSON object.")
        try:
            conversation = self._dialect.conversation(request.path, body)
        except RequestRefused as refused:
            return refusal(400, refused.message, param=refused.param)
        with self._counts.request():
            try:
                async with await self._ask(request.path, orjson.dumps(conversation.request)) as response:
                    return await self._answer(request, conversation, response)
            except HOP_LOST as error:
                return refusal(503, f"The engine could not be reached: {error!r}.", code="engine_unavailable")

    async def _ask(self, path: str, data: bytes, content_type: str = "application/json") -> aiohttp.ClientResponse:
        """The server's answer, its body still to be read. A connection that was kept too long is tried once more."""
        url = self._dialect.upstream.url + self._dialect.paths[path]
        attempt = Attempt()
        try:
            return await self._post(url, data, content_type, attempt)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionResetError):
            if not attempt.is_on_kept_connection:  # then the server may have begun: it is not asked for it twice
                raise
            return await self._post(url, data, content_type, Attempt())

    async def _post(self, url: str, data: bytes, content_type: str, attempt: "Attempt") -> aiohttp.ClientResponse:
        return await self._session.post(
            url,
            data=data if len(data) < LARGE_BODY_BYTES else io.BytesIO(data),
            headers={"Content-Type": content_type},
            timeout=self._timeout,
            allow_redirects=False,  # a POST would become a GET, and its body and key are not for another address
            trace_request_ctx=attempt,
        )

    async def _answer(
        self, request: web.Request, conversation: Conversation, response: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        if 300 <= response.status < 400:
            where = response.headers.get("Location", "nowhere")
            return refusal(502, f"The engine sends to another address, {where}.", code="engine_failed")
        if response.status != 200:
            return await self._refused(response)
        if response.content_type == "text/event-stream":
            return await self._stream(request, conversation, response)
        try:
            document = orjson.loads(await response.read())
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            return refusal(502, "The engine's answer was no JSON object.", code="engine_failed")
        self._counts.usage(document.get("usage"))
        answer = conversation.answer(document)
        return web.Response(body=orjson.dumps(answer), content_type="application/json")

    async def _refused(self, response: aiohttp.ClientResponse) -> web.Response:
        body = await response.read()
        status = response.status
        if status == 400 and self._dialect.upstream.is_ours and not await self._is_healthy():
            status = 503  # it blames the request for what its own end caused
        headers = {"Retry-After": response.headers["Retry-After"]} if "Retry-After" in response.headers else {}
        document = read_error(status, body)
        return web.Response(
            status=status, body=orjson.dumps(document), content_type="application/json", headers=headers
        )

    async def _is_healthy(self) -> bool:
        try:
            return await self._dialect.is_healthy(self._session)
        except HOP_LOST:
            return False

    async def _stream(
        self, request: web.Request, conversation: Conversation, response: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await answer.prepare(request)
        try:
            async for event in self._events(conversation, response):
                await answer.write(event)
        except UpstreamBroke as broke:
            await self._break_off(request, answer, str(broke))
            return answer
        await answer.write_eof(DONE)
        with contextlib.suppress(*HOP_LOST):
            async with asyncio.timeout(END_TIMEOUT_S):
                await response.content.read()
        return answer

    async def _events(self, conversation: Conversation, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """
        The server's events in OpenAI's form, joined as they were read, without the end mark.

        Raises:
            UpstreamBroke: the stream ended without its end mark, or with an error.
        """
        reader = EventReader()
        usage: object = None
        try:
            async for data in response.content.iter_any():
                batch = _Batch(conversation)
                batch.take(reader.feed(data))
                usage = batch.usage or usage
                if batch.events:  # also those that came together with an error, or with the end
                    yield b"".join(batch.events)
                if batch.failure:
                    raise UpstreamBroke(batch.failure)
                if batch.is_done:
                    return
        except HOP_LOST as error:
            raise UpstreamBroke(f"the connection was lost: {error!r}") from error
        finally:
            self._counts.usage(usage)
        raise UpstreamBroke("it ended without saying that it was done")

    async def _break_off(self, request: web.Request, answer: web.StreamResponse, reason: str) -> None:
        """An error event, no end mark, and a connection that is cut: what every client reports as an error."""
        logger.warning("the engine broke off a stream: %s", reason)
        try:
            await answer.write(encode_event(error_document(500, f"The engine broke off its answer: {reason}.")))
            await asyncio.sleep(0)
        finally:
            if request.transport is not None:
                request.transport.close()


class Attempt:
    """One sending of a request; `note_kept_connections` marks it."""

    is_on_kept_connection = False


def note_kept_connections() -> aiohttp.TraceConfig:
    """What a session needs to tell a connection that the server closed while it was idle from one that just broke."""

    async def note(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        if isinstance(context.trace_request_ctx, Attempt):
            context.trace_request_ctx.is_on_kept_connection = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(note)
    return trace


class _Batch:
    """The events that were read at once, in OpenAI's form."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self.events: list[bytes] = []
        self.usage: object = None
        self.failure = ""
        self.is_done = False

    def take(self, payloads: Iterator[bytes]) -> None:
        """Takes events up to the end mark, or up to the first that is an error."""
        for payload in payloads:
            if payload == b"[DONE]":
                self.is_done = True
                self._keep(self._conversation.ending())
                return
            try:
                document = _event(payload)
            except UpstreamBroke as broke:
                self.failure = str(broke)
                return
            self.usage = document.get("usage") or self.usage
            self._keep(self._conversation.event(document))

    def _keep(self, event: JsonObject | None) -> None:
        if event is not None:
            self.usage = event.get("usage") or self.usage
            self.events.append(encode_event(event))


def _event(payload: bytes) -> JsonObject:
    """
    Raises:
        UpstreamBroke: it is an error, or no event.
    """
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise UpstreamBroke("it sent an event that is not JSON") from None
    if not isinstance(document, dict):
        raise UpstreamBroke("it sent an event that is no JSON object")
    if document.get("error") is not None or document.get("object") == "error":
        raise UpstreamBroke(read_error(500, payload)["error"]["message"])
    return document
