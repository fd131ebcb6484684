"""
The engine's side of the request path: HTTP/1.1 connections that hand bytes on as they arrive.

This replaces a client library on the one path where a token is a unit of cost. Everything else uses aiohttp.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import httptools

from router.replicas.registry import Replica

IDLE_LIMIT_S = 3.0
"""How long an idle connection is kept, in seconds: below the 5 s after which vLLM's and llama.cpp's servers close."""

LAST_WORDS_S = 1.0
"""How long a connection may go on after all that was wanted of it, in seconds, before it is dropped. Engines end a body
within a millisecond of its last event."""

MAX_IDLE_CONNECTIONS = 64
"""Idle connections kept for one replica. llama.cpp's server holds a thread for each."""


class ConnectFailed(Exception):
    """No connection to the replica: refused, unreachable, or not within the time limit."""


class ConnectionLost(Exception):
    """The replica closed or reset the connection, or broke the protocol, before its answer was whole."""


class AnswerReceiver(Protocol):
    """Who receives an engine's answer. Called from the socket's callback: must not block and must not raise."""

    def head_received(self, status: int, headers: dict[bytes, bytes]) -> None: ...

    def data_received(self, data: bytes, *, is_last: bool) -> None:
        """What one read of the socket brought, joined. `is_last` comes once, perhaps with no data."""

    def connection_lost(self, error: ConnectionLost) -> None:
        """The answer ended before it was whole. Not called after `is_last`."""


class _Nobody:
    """Takes what nobody waits for."""

    def head_received(self, status: int, headers: dict[bytes, bytes]) -> None: ...

    def data_received(self, data: bytes, *, is_last: bool) -> None: ...

    def connection_lost(self, error: ConnectionLost) -> None: ...


_NOBODY = _Nobody()


class UpstreamConnection(asyncio.Protocol):
    """
    One connection to a replica, with at most one request in flight.

    It is its own parser's callback object: a read of the socket goes through the C parser and straight to the receiver.
    """

    def __init__(self, on_idle: Callable[["UpstreamConnection"], None]) -> None:
        self.idle_since = 0.0
        self._on_idle = on_idle
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._receiver: AnswerReceiver | None = None
        self._headers: dict[bytes, bytes] = {}
        self._status = 0
        self._body = b""
        self._is_complete = False
        self._ends_with_connection = False
        self._may_be_kept = False
        self._is_paused = False
        self._expiry: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, head: bytes, body: bytes, receiver: AnswerReceiver) -> None:
        """Send one request; `receiver` gets its answer, and is the one that may pause, resume and abandon it."""
        assert self._transport is not None  # noqa: S101 - the pool hands out connected connections only
        self._receiver = receiver
        self._transport.writelines((head, body))

    def pause_reading(self, receiver: AnswerReceiver) -> None:
        if self._receiver is receiver and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def resume_reading(self, receiver: AnswerReceiver) -> None:
        if self._receiver is receiver and self._transport is not None:
            self._resume()

    def abandon(self, receiver: AnswerReceiver) -> None:
        """
        Drop the connection, if it still serves `receiver`: engines stop generating when their client is gone.

        Once it has brought the whole answer, it may already serve another request.
        """
        if self._receiver is receiver:
            self.close()

    def finish(self, receiver: AnswerReceiver) -> None:
        """
        `receiver` has all that it wanted and hears nothing more. What the answer still has is passed over; then the
        connection may serve again. If that is not soon, it is dropped: some servers never end a body.
        """
        if self._receiver is not receiver:
            return
        self._receiver = _NOBODY
        if self._is_paused:
            self._resume()
        self._expiry = asyncio.get_running_loop().call_later(LAST_WORDS_S, self.close)

    def close(self) -> None:
        """Drop the connection, whatever it does."""
        self._let_go()
        if self._transport is not None:
            self._transport.abort()

    def _resume(self) -> None:
        self._is_paused = False
        if self._transport is not None:
            self._transport.resume_reading()

    def _let_go(self) -> AnswerReceiver | None:
        """Whom it served. It serves nobody now."""
        receiver, self._receiver = self._receiver, None
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        return receiver

    # asyncio's callbacks

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"it broke the HTTP protocol ({error})")
            return
        if self._is_complete:
            self._complete()
        elif self._body:
            body, self._body = self._body, b""
            if self._receiver is not None:
                self._receiver.data_received(body, is_last=False)

    def eof_received(self) -> bool:
        if self._ends_with_connection and not self._is_complete:
            self._is_complete = True
            self._complete()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ends_with_connection and exc is None and self._receiver is not None:
            self._complete()
        self._fail("it closed the connection" if exc is None else f"the connection was lost ({exc})")
        del self._parser  # asyncio calls nothing after this; the two hold each other

    # the parser's callbacks

    def on_message_begin(self) -> None:
        self._headers = {}
        self._is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._status < 200:  # an interim answer; the real one follows
            return
        self._ends_with_connection = (
            b"content-length" not in self._headers
            and b"chunked" not in self._headers.get(b"transfer-encoding", b"").lower()
        )
        if self._receiver is not None:
            self._receiver.head_received(self._status, self._headers)

    def on_body(self, body: bytes) -> None:
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        if self._status >= 200:
            self._is_complete = True
            self._may_be_kept = self._parser.should_keep_alive()  # the parser has forgotten it after this call

    # endings

    def _complete(self) -> None:
        receiver = self._let_go()
        body, self._body = self._body, b""
        is_reusable = self.is_open and self._may_be_kept
        self._is_complete = self._may_be_kept = self._ends_with_connection = False
        if receiver is None and is_reusable:
            self.close()  # bytes that nobody asked for
            return
        if is_reusable:
            self._on_idle(self)
        elif self._transport is not None:
            self._transport.close()
        if receiver is not None:
            receiver.data_received(body, is_last=True)

    def _fail(self, reason: str) -> None:
        receiver = self._let_go()
        if self._transport is not None:
            self._transport.abort()
        if receiver is not None:
            receiver.connection_lost(ConnectionLost(reason))


class ConnectionPool:
    """Connections to one replica, kept open between requests. Belongs to one event loop."""

    def __init__(self, replica: Replica, loop: asyncio.AbstractEventLoop) -> None:
        self._replica = replica
        self._loop = loop
        self._idle: list[UpstreamConnection] = []
        self._is_closed = False

    def take_idle(self) -> UpstreamConnection | None:
        """
        An open connection that has served before, or None.

        The replica may be closing it at this moment: a request that fails on it without a byte deserves a fresh one.
        """
        oldest = self._loop.time() - IDLE_LIMIT_S
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.idle_since >= oldest:
                return connection
            connection.close()
        return None

    async def connect(self, timeout_s: float) -> UpstreamConnection:
        """
        A fresh connection.

        Raises:
            ConnectFailed: no connection within `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await self._loop.create_connection(
                    lambda: UpstreamConnection(self._keep), self._replica.host, self._replica.port
                )
        except TimeoutError:
            raise ConnectFailed(f"no connection within {timeout_s:g} s") from None
        except OSError as error:
            raise ConnectFailed(error.strerror or str(error)) from error
        return connection

    def close(self) -> None:
        """Close what is idle; what is in use closes when it becomes idle."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()

    def _keep(self, connection: UpstreamConnection) -> None:
        if self._is_closed or len(self._idle) >= MAX_IDLE_CONNECTIONS:
            connection.close()
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
