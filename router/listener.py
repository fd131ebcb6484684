"""The router's own door: uvicorn's HTTP protocol on a port that several router replicas of a node share."""

import asyncio
import logging
import math
import re
import socket
from collections.abc import Collection
from email.utils import formatdate
from functools import partial
from typing import Protocol, cast

import uvicorn
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from configs.router import ListenerSettings
from router.call import request_id
from router.errors import EngineOverloaded, HeadersTooLarge, InvalidRequest, RequestTimeout, ServingError
from router.http.asgi import WRITE_CHUNK, Receive, Scope, Send
from router.http.error_bodies import error_body, error_headers
from router.http.pages import with_pages
from router.state import RouterState

_SWEEP_S = 1.0
IDLE_GRACE_S = 5.0
"""How long a draining listener keeps connections without a request, in seconds. A client that uses one within this
time is answered, and told to come back on a new one; closing at once would cut into requests on their way."""
_BACKLOG = 2048
_H2C = re.compile(rb"\r\nupgrade:[ \t]*h2c[ \t]*(?=\r\n)", re.IGNORECASE)
"""An offer to change to HTTP/2, as Java's client makes with every request. A server may ignore it (RFC 9110, 7.8);
the parser would stop at it and lose the body."""
_REASONS = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large", 503: b"Unavailable"}


class ListenError(Exception):
    """The address cannot be listened on."""


def bind(settings: ListenerSettings) -> socket.socket:
    """
    A listening socket that other router replicas of the node may open, too.

    Raises:
        ListenError: the address is not this node's, or another program has the port.
    """
    family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise ListenError(f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}") from error
    listening.setblocking(False)  # noqa: FBT003
    return listening


class _OneWrite:
    """
    A transport that holds an answer's head back until its first body, so that both leave in one write.

    uvicorn writes them apart, uvloop writes at once, and a write is the dearest step of a short answer. ASGI wants a
    body after every head, so none is held for long; no body of ours begins like a head.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 1"):
            self._head = data
            return
        self._transport.write(data)

    def write_chunk(self, body: bytes) -> None:
        """Write a part of a chunked answer."""
        chunk = b"%x\r\n%b\r\n" % (len(body), body)
        if self._head:
            chunk, self._head = self._head + chunk, b""
        self._transport.write(chunk)

    def flush(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)


class ClientProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with limits on what comes before a request's body, and errors in our envelope."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        settings: ListenerSettings,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(config, server_state, {}, loop)
        self.access_log = False  # paths may hold keys, and whoever has a handler there would get them
        self.settings = settings
        self._fault: ServingError = InvalidRequest("The request is not valid HTTP.")
        self._num_head_bytes = 0
        self._is_in_head = True
        self._running: RequestResponseCycle | None = None
        self._num_unsent_bytes = 0
        self._taken_at = loop.time()
        self.waiting_since: float | None = None
        """Loop time since when the client owes us the rest of a request's head, in seconds."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._one_write = _OneWrite(transport)
        super().connection_made(cast("asyncio.Transport", self._one_write))
        self.waiting_since = self.loop.time()
        if len(self.connections) > self.settings.max_connections:
            self._refuse(EngineOverloaded("The router has too many connections.", retry_after_s=1))

    def connection_lost(self, exc: Exception | None) -> None:
        running = self._running
        super().connection_lost(exc)  # tells the newest request, which may be a pipelined one that has not begun
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
            _forget_extensions(running)

    def on_response_complete(self) -> None:
        self._one_write.flush()  # the answer to a HEAD has no body
        if self._running is not None:
            _forget_extensions(self._running)
        super().on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        extension = partial(_write_chunk, cycle, self._one_write)
        cycle.scope["extensions"] = cast("dict[str, dict[object, object]]", {WRITE_CHUNK: extension})
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        if b"h2c" in data and (self.cycle is None or self.cycle.response_complete):
            head, end, rest = data.partition(b"\r\n\r\n")
            data = _H2C.sub(b"", head + end[:2]) + end[2:] + rest
        super().data_received(data)
        if self._is_in_head:
            self._num_head_bytes += len(data)
            if self._num_head_bytes > self.settings.max_header_bytes:
                self._refuse(self._too_large())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True
        self._num_head_bytes = 0
        self.waiting_since = self.loop.time()

    def on_headers_complete(self) -> None:
        self.waiting_since = None
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > self.settings.max_header_bytes:
            self._fault = self._too_large()
            raise ValueError(self._fault.message)  # the parser turns it into a protocol error
        self._is_in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words
        self._refuse(self._fault)

    def expire(self, now: float, stall_timeout_s: float) -> None:
        """
        Refuse a client that has not sent the head of its request in time, drop one that takes nothing.

        `now` is loop time, in seconds. Closing would wait until the client has taken what was written for it.
        """
        num_unsent_bytes = self.transport.get_write_buffer_size()
        if num_unsent_bytes == 0 or num_unsent_bytes != self._num_unsent_bytes:
            self._num_unsent_bytes, self._taken_at = num_unsent_bytes, now
        elif now - self._taken_at > stall_timeout_s:
            self.transport.abort()
            return
        is_idle = self._running is None or self._running.response_complete
        if is_idle and self.waiting_since is None and self.timeout_keep_alive_task is None:
            self.waiting_since = now  # stray bytes stopped uvicorn's timer, and nothing would start it again
            self._num_head_bytes = 0
        timeout_s = self.settings.request_timeout_s
        if self.waiting_since is None or now - self.waiting_since <= timeout_s:
            return
        if self._num_head_bytes:
            self._refuse(RequestTimeout(f"The request's headers did not arrive within {timeout_s:g} s."))
        else:
            self.transport.close()

    def _too_large(self) -> HeadersTooLarge:
        return HeadersTooLarge(f"The request's headers are larger than {self.settings.max_header_bytes} bytes.")

    def _refuse(self, error: ServingError) -> None:
        if self.transport.is_closing():
            return
        running = self._running
        owes_answer = running is not None and not running.response_complete
        if not owes_answer or (running is self.cycle and not self._is_in_head and not running.response_started):
            self.transport.write(_refusal(error))  # else it would be taken for the answer that is owed
        self.transport.close()


def _write_chunk(cycle: RequestResponseCycle, transport: _OneWrite, body: bytes) -> bool:
    """What the cycle's `send()` does with a body that is not the last, without a coroutine and a message for each."""
    if cycle.flow.write_paused or not cycle.chunked_encoding:
        return False
    if not cycle.disconnected:
        transport.write_chunk(body)
    return True


def _forget_extensions(cycle: RequestResponseCycle) -> None:
    """They lead back to the cycle, which would then wait for Python's search for such circles: for minutes."""
    cycle.scope["extensions"] = {}


def _refusal(error: ServingError) -> bytes:
    body = error_body(error)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (b"x-request-id", request_id({"headers": []})),
        *error_headers(error),
    ]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (error.status, _REASONS[error.status], lines, body)


class ServedApp(Protocol):
    """An ASGI app of the router: `router.app.RouterApp`, or what it shows to its peers."""

    state: RouterState

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Listener:
    """Accepts clients for one app, on that app's event loop."""

    def __init__(self, app: ServedApp, listening: socket.socket, origins: Collection[str] = ()) -> None:
        """`origins` are those of pages that may ask from within a browser."""
        self._app = app
        self._loop = app.state.loop
        self._socket = listening
        self._server_state = ServerState()
        self._config = uvicorn.Config(
            cast("ASGI3Application", with_pages(app, origins)),
            http=ClientProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            proxy_headers=False,
            timeout_keep_alive=math.ceil(app.state.listener.keep_alive_s),
        )
        self._config.load()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def num_connections(self) -> int:
        return len(self._server_state.connections)

    async def start(self) -> None:
        _quiet_uvicorn()
        # The server gets a duplicate, so that closing it leaves the socket open until its queue is empty.
        self._server = await self._loop.create_server(self._protocol, sock=self._socket.dup(), backlog=_BACKLOG)
        self._sweep()

    async def drain(self, timeout_s: float) -> bool:
        """
        Stop accepting, finish what runs, close. Returns whether everything was finished within `timeout_s`.

        Connections that the kernel has already queued for this socket are taken and served: it gives new ones to the
        node's other listeners only once this one is closed, and would reset what is still in its queue.
        """
        self._app.state.is_draining = True
        if self._server is not None:
            self._server.close()
        await self._accept_queued()
        self._socket.close()
        started_at = self._loop.time()
        while self._server_state.connections and self._loop.time() - started_at < timeout_s:
            if self._loop.time() - started_at > min(IDLE_GRACE_S, timeout_s):
                self._close_idle()
            await asyncio.sleep(0.05)
        is_drained = not self._server_state.connections
        await self.abort()
        return is_drained

    async def abort(self) -> None:
        """Close everything now."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._server is not None:
            self._server.close()
        self._socket.close()
        for connection in tuple(self._server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)

    def _protocol(self) -> ClientProtocol:
        return ClientProtocol(self._config, self._server_state, self._app.state.listener, self._loop)

    async def _accept_queued(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except (BlockingIOError, OSError):
                return
            client.setblocking(False)  # noqa: FBT003
            await self._loop.connect_accepted_socket(self._protocol, client)

    def _close_idle(self) -> None:
        for connection in tuple(self._server_state.connections):
            connection.shutdown()

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        now = self._loop.time()
        stall_timeout_s = self._app.state.table.requests.stall_timeout_s
        self._server_state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        for connection in tuple(self._server_state.connections):
            if isinstance(connection, ClientProtocol):
                connection.expire(now, stall_timeout_s)


def _quiet_uvicorn() -> None:
    """Drop uvicorn's words on what we do on purpose: cutting a stream, after saying in it why."""
    log = logging.getLogger("uvicorn.error")
    log.setLevel(logging.WARNING)
    if not any(isinstance(known, _OnPurpose) for known in log.filters):
        log.addFilter(_OnPurpose())


class _OnPurpose(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not message.startswith(("ASGI callable returned without completing response", "Invalid HTTP request"))
