"""The client's side of the request path: one answer, written from the engine's socket callback."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from router.errors import ServingError
from router.http.asgi import Headers, Message, Send, WriteChunk
from router.http.driving import Driver
from router.http.error_bodies import error_body, error_event, error_headers
from router.http.event_stream import KEEP_ALIVE

EVENT_STREAM_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx in front of us would otherwise collect tokens
]
JSON_HEADERS: Headers = [(b"content-type", b"application/json")]


class AnswerSink(Protocol):
    """Who takes an engine's answer: one client's `Answer`, or something that hands it to several."""

    on_full: Callable[[], None] | None
    on_drained: Callable[[], None] | None

    @property
    def full_since(self) -> float | None: ...

    @property
    def status(self) -> int | None: ...

    @property
    def has_content(self) -> bool: ...

    @property
    def is_complete(self) -> bool: ...

    @property
    def unread(self) -> "UnreadSink | None":
        """Itself, where it takes what an engine says unread and with its own headers; None where that is events."""

    def start_stream(self) -> None: ...

    def write(self, data: bytes, *, is_last: bool) -> None: ...

    def send_whole(self, status: int, body: bytes) -> None: ...


class UnreadSink(AnswerSink, Protocol):
    """Who takes an engine's answer as it is: a text, events, or sound."""

    @property
    def has_events(self) -> bool: ...

    def start_stream(self, headers: Headers = ...) -> None: ...

    def send_whole(self, status: int, body: bytes, headers: Headers = ...) -> None: ...


class Answer:
    """
    Writes one answer to one client.

    `send()` is advanced right here rather than awaited. When it waits, the client is slower than the engine:
    `on_full` is called, what follows is kept in order, and `on_drained` is called once the client has caught up.
    A source that stops reading at `on_full` leaves at most one read's worth of bytes here.
    """

    sign_of_life: bytes = KEEP_ALIVE
    """What a waiting client is sent, which its parser passes over."""

    @property
    def unread(self) -> UnreadSink | None:
        return None

    def __init__(
        self,
        send: Send,
        common_headers: Headers,
        loop: asyncio.AbstractEventLoop,
        write_chunk: WriteChunk | None = None,
    ) -> None:
        self._send = send
        self._write_chunk = write_chunk
        self._loop = loop
        self._headers = common_headers
        self._backlog: deque[Message] = deque()
        self._driver: Driver | None = None
        self._drained: asyncio.Future[None] | None = None
        self.on_full: Callable[[], None] | None = None
        self.on_drained: Callable[[], None] | None = None
        self.status: int | None = None
        """The status that was sent, or None as long as none was."""
        self.has_content = False
        """Whether the client has part of an engine's answer: from then on no other engine may answer."""
        self.is_complete = False
        self.is_cut = False
        """The client was told, after its stream had begun, that it broke."""
        self.late_headers: Callable[[], Headers] | None = None
        """Makes the headers that say who answers, at the moment when they go out."""
        self.is_ahead = False
        """The headers went out before anybody had begun to answer."""
        self._is_unwritable = False
        self.full_since: float | None = None
        """Loop time since when the client has not taken what was sent, in seconds."""

    def add_header(self, name: bytes, value: bytes) -> None:
        """A header for the answer, whatever it will be. Call it before anything is sent."""
        self._headers.append((name, value))

    def start_stream(self, headers: Headers = EVENT_STREAM_HEADERS) -> None:
        """Send status 200 and the headers of an event stream, unless they were sent before."""
        if self.status is None:
            self._start(200, headers)

    def keep_alive(self) -> None:
        """Tell a waiting client, and whatever stands between, that its answer is still coming."""
        self.is_ahead = self.is_ahead or self.status is None
        self.start_stream()
        if self.full_since is None:
            self._push({"type": "http.response.body", "body": self.sign_of_life, "more_body": True})

    def write(self, data: bytes, *, is_last: bool) -> None:
        """Send a part of a streamed answer."""
        if is_last:
            self.is_complete = True
        if data:
            self.has_content = True
            if self._write_chunk is not None and not is_last and self._driver is None and self._write_chunk(data):
                return
        self._push({"type": "http.response.body", "body": data, "more_body": not is_last})

    def send_whole(self, status: int, body: bytes, headers: Headers = JSON_HEADERS) -> None:
        """Send an answer that is not streamed."""
        self._send_body(status, body, headers)

    def forget_unsent(self) -> None:
        """Where an answer is gathered before any of it is sent: the client is to have none of what there is so far."""

    def fail(self, error: ServingError) -> None:
        """
        Send the error, in whichever form is still possible.

        Before the headers: a status and an error body. After them: an error event, no `[DONE]`, and a connection
        that is cut (by returning from the ASGI call): the one ending that every client reports as an error.
        """
        if self.is_complete or self.is_cut:
            return
        if self.status is None:
            self._send_body(error.status, self._error_body(error), [*JSON_HEADERS, *error_headers(error)])
            return
        self.is_cut = True
        self._push({"type": "http.response.body", "body": self._error_event(error), "more_body": True})

    async def drained(self) -> None:
        """Wait until the server has taken everything that was written."""
        if self._driver is not None:
            self._drained = self._loop.create_future()
            await self._drained

    def _error_body(self, error: ServingError) -> bytes:
        return error_body(error)

    def _error_event(self, error: ServingError) -> bytes:
        return error_event(error)

    def _send_body(self, status: int, body: bytes, headers: Headers) -> None:
        self.has_content = self.is_complete = True
        self._start(status, [*headers, (b"content-length", str(len(body)).encode())])
        self._push({"type": "http.response.body", "body": body, "more_body": False})

    def _start(self, status: int, headers: Headers) -> None:
        self.status = status
        late = self.late_headers() if self.late_headers is not None else ()
        self._push({"type": "http.response.start", "status": status, "headers": [*headers, *self._headers, *late]})

    def _push(self, message: Message) -> None:
        if self._driver is not None:
            self._backlog.append(message)
            return
        if self._is_unwritable:
            return
        sending = self._send(message)
        try:
            waited = sending.send(None)
        except StopIteration:
            return
        except Exception:  # noqa: BLE001 - whatever it is, this client cannot be written to
            self._is_unwritable = True
            return
        self._driver = Driver(sending, self._sent)
        self._driver.wait_for(waited)
        self.full_since = self._loop.time()
        if self.on_full is not None:
            self.on_full()

    def _sent(self, _result: object, error: BaseException | None) -> None:
        self._driver = None
        if error is not None:
            self._is_unwritable = True
            self._backlog.clear()
        while self._backlog and self._driver is None:
            self._push(self._backlog.popleft())
        if self._driver is None:
            self.full_since = None
            if self._drained is not None and not self._drained.done():
                self._drained.set_result(None)
            if self.on_drained is not None:
                self.on_drained()
