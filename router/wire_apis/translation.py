"""
A request in an API of its own: it becomes a chat completion, text completion or embedding, and that becomes its answer.

    read -> as any request: limits, cache, single flight, replicas, failover -> write

Everything between is the path of a request in OpenAI's API, which knows nothing of it.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import orjson

from router.call import ROUTES, Call, Route
from router.errors import EngineFailed, ServingError
from router.generation import Generation
from router.http.answer import EVENT_STREAM_HEADERS, JSON_HEADERS, Answer
from router.http.asgi import Headers, Receive, Scope, Send, WriteChunk
from router.http.bodies import encode_object
from router.http.event_stream import KEEP_ALIVE, read_events
from router.replicas.prefix_key import session_of
from router.state import RouterState
from router.wire_apis.pieces import Json

logger = logging.getLogger("enginehouse.router")

CHAT_ROUTE = ROUTES["/v1/chat/completions"]


class ErrorWords(Protocol):
    """How an API says what went wrong."""

    def body(self, error: ServingError, request_id: str) -> bytes: ...

    def event(self, error: ServingError, request_id: str) -> bytes:
        """The last event of a stream that broke."""


class Writer(Protocol):
    """
    Makes one answer out of one completion or embedding. Pure.

    May raise ValueError, TypeError, KeyError or AttributeError where the engine's answer is none.
    """

    def whole(self, completion: Json) -> bytes:
        """The answer to a request that did not ask for a stream."""

    def feed(self, chunk: Json) -> bytes:
        """What the client gets of one event of a stream. May be empty."""

    def end(self) -> bytes:
        """What the client gets last, once the stream is whole."""


@dataclass(slots=True, frozen=True)
class StreamForm:
    """How an API's streams look. `sign_of_life` is a part of one that its clients pass over."""

    headers: Headers
    sign_of_life: bytes


EVENTS = StreamForm(EVENT_STREAM_HEADERS, KEEP_ALIVE)
"""Server-sent events, which have comments."""


@dataclass(slots=True, frozen=True)
class Reading:
    """
    A client's request as one in OpenAI's API: what to ask, by which route, and who writes the answer.

    `session` is what the request itself calls the conversation, empty where it does not; a header goes before it.
    """

    body: Json
    writer: Writer
    session: bytes = b""
    route: Route = CHAT_ROUTE
    form: StreamForm = EVENTS


class WireApi(Protocol):
    """One API in which a client may ask for a generation."""

    @property
    def path(self) -> str: ...

    @property
    def errors(self) -> ErrorWords: ...

    @property
    def id_header(self) -> bytes | None:
        """The header in which its clients look for the request's id, where that is not `x-request-id`."""

    def read(self, raw: bytes, request_id: str) -> Reading:
        """
        Raises:
            InvalidRequest: the request has a mistake, which the message names.
        """


def chat_call(body: Json, session: bytes = b"", route: Route = CHAT_ROUTE) -> Call:
    """
    The request with this body, as if a client had asked for it. Its stream has the usage.

    Raises:
        InvalidRequest: a field has the wrong type or range.
    """
    route.check(body)
    wants_stream = body.get("stream") is True
    if wants_stream:
        body = {**body, "stream_options": {"include_usage": True}}
    return Call(route, body, encode_object(body), body["model"], wants_stream, wants_stream, session)


class TranslatedAnswer(Answer):
    """Takes an engine's answer and writes it to a client in the words of its own API."""

    errors: ErrorWords
    request_id: str
    writer: Writer
    """Set before there is anything to write but an error."""
    form: StreamForm = EVENTS
    misread: EngineFailed | None = None
    """What the client was told of an answer that is none."""
    on_misread: Callable[[], None] | None = None
    """Called where that was in a stream, of which no more is wanted."""

    def take_over(self, reading: Reading) -> None:
        """From here on there may be something to write."""
        self.writer, self.form = reading.writer, reading.form
        self.sign_of_life = reading.form.sign_of_life

    def start_stream(self, headers: Headers | None = None) -> None:
        super().start_stream(self.form.headers if headers is None else headers)

    def write(self, data: bytes, *, is_last: bool) -> None:
        """Whole events of a streamed completion."""
        if self.is_cut:
            return
        self.has_content = self.has_content or bool(data)
        try:
            written = b"".join(
                [self.writer.end() if one is None else self.writer.feed(one) for one in read_events(data)]
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self._misread(error)
            if self.on_misread is not None and not is_last:
                self.on_misread()
            return
        if written or is_last:
            super().write(written, is_last=is_last)

    def send_whole(self, status: int, body: bytes, headers: Headers = JSON_HEADERS) -> None:
        try:
            written = self.writer.whole(orjson.loads(body))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self._misread(error)
            return
        super().send_whole(status, written, headers)

    def send_own(self, body: bytes) -> None:
        """An answer that no engine gave, in the API's own words."""
        super().send_whole(200, body)

    def _misread(self, error: Exception) -> None:
        logger.warning("request %s: the engine's answer cannot be translated: %r", self.request_id, error)
        self.misread = EngineFailed("The engine's answer is not what was asked for.", from_engine=True)
        self.fail(self.misread)

    def _error_body(self, error: ServingError) -> bytes:
        return self.errors.body(error, self.request_id)

    def _error_event(self, error: ServingError) -> bytes:
        return self.errors.event(error, self.request_id)


class TranslatedGeneration(Generation):
    """One request in an API of its own, and its answer."""

    def __init__(self, state: RouterState, api: WireApi, scope: Scope, receive: Receive, send: Send) -> None:
        self._api = api
        super().__init__(state, CHAT_ROUTE, scope, receive, send)
        self._account.route = api.path

    async def _serve(self) -> None:
        """Where its answer is none, the request ends at once: else the client would wait for its engine's last word."""
        translated, task = self._translated, asyncio.current_task()

        def stop() -> None:
            if task is not None and asyncio.current_task() is not task:  # a kept answer is written in one go
                task.cancel()

        translated.on_misread = stop
        try:
            await super()._serve()
        except asyncio.CancelledError:
            if task is None or translated.misread is None or self._departure.has_left:
                raise
            task.uncancel()
        finally:
            translated.on_misread = None
        if translated.misread is not None:
            raise translated.misread

    def _open_answer(self, send: Send, headers: Headers, write_chunk: WriteChunk | None) -> Answer:
        if self._api.id_header is not None:
            headers.append((self._api.id_header, self._request_id))
        self._translated = TranslatedAnswer(send, headers, self._state.loop, write_chunk)
        self._translated.errors = self._api.errors
        self._translated.request_id = self._request_id.decode()
        return self._translated

    def _read_call(self, raw: bytes) -> Call:
        reading = self._read(raw)
        self._translated.take_over(reading)
        return self._call(reading, session_of(self._scope) or reading.session)

    def _read(self, raw: bytes) -> Reading:
        return self._api.read(raw, self._request_id.decode())

    def _call(self, reading: Reading, session: bytes) -> Call:
        """What is asked of the engine, for APIs that stand for something else than a chat."""
        return chat_call(reading.body, session, reading.route)
