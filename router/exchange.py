"""One attempt: a request to one replica, and its answer on the way to the client."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import orjson

from router.errors import ClientDisconnected, EngineFailed, EngineTimeout, EngineUnavailable, ServingError
from router.fitting.profiles import Profile
from router.http.answer import AnswerSink
from router.http.event_stream import EventStream, Usage, read_usage
from router.replicas.upstream import ConnectionLost, UpstreamConnection

_OK = 200


class TokenMeter(Protocol):
    """Hears when tokens pass. Called once for each read of the engine's socket, so it must be cheap."""

    def first_token(self) -> None: ...

    def next_token(self, gap_s: float) -> None: ...


class Exchange:
    """
    Pipes one engine's answer into `answer`, from the socket's callback.

    A streamed answer goes on as it comes. Any other is collected first: a replica that dies halfway through it can
    then still be replaced by another, and an error can be put into our terms. `replaced` is bytes of whole events, or
    of a whole answer, and what the client gets instead.
    """

    _stream_type: type[EventStream] = EventStream

    def __init__(
        self,
        connection: UpstreamConnection,
        answer: AnswerSink,
        profile: Profile,
        meter: TokenMeter,
        *,
        wants_usage: bool,
        replaced: tuple[bytes, bytes] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._answer = answer
        self._profile = profile
        self.meter = meter
        self._events = self._stream_type(wants_usage=wants_usage)
        self._replaced = tuple(pair for pair in (replaced, profile.thoughts) if pair is not None)
        self._collected: list[bytes] = []
        self._status = 0
        self._is_stream = False
        self._has_token = False
        self.on_begun: Callable[[], None] | None = None
        """Called once, just before the first token of a stream is passed on."""
        self.kept: list[bytes] | None = None
        """Takes what is passed on of a stream, where somebody wants it."""
        self.is_lost = False
        """Whether the engine's connection broke before its answer was whole."""
        self._ended: asyncio.Future[ServingError | None] = self._loop.create_future()
        self.has_head = False
        """Whether the engine has begun to answer: a reused connection that brings nothing deserves another try."""
        self._has_body = False  # vLLM sends the head of a stream at once, long before its first token
        self.asked_at = self.last_read_at = self._loop.time()
        self.first_token_at: float | None = None
        self._resumed_at = 0.0
        """Loop time, in seconds, since when the engine is read again after its client had been slow."""

    @property
    def usage(self) -> Usage | None:
        return self._events.usage

    @property
    def heard_at(self) -> float | None:
        """Loop time, in seconds, at which the engine last said a part of an answer; None where it has said nothing."""
        return self.last_read_at if self._has_body else None

    @property
    def has_token(self) -> bool:
        """Whether the first token of a stream is there."""
        return self._has_token

    async def run(self, head: bytes, body: bytes) -> ServingError | None:
        """
        Send the request and wait until the answer is over: None when the client has it whole, else what went wrong.

        `EngineUnavailable` and `EngineOverloaded` come only while the client has nothing of the answer, so that
        another replica may give it. Cancelling drops the connection, which makes the engine stop generating.

        Raises:
            ClientDisconnected: the client takes nothing any more.
        """
        self._set_pace()
        try:
            self._connection.send(head, body, self)
            return await self._ended
        finally:
            if self._answer.on_full == self._pause:  # and not another's, who gives this answer now
                self._answer.on_full = self._answer.on_drained = None
            self.on_begun = self.kept = None  # what they lead to leads back here
            self._connection.abandon(self)

    def abort(self) -> None:
        """Nothing of this engine's reaches the client from now on. `run` is to be cancelled."""
        self._connection.abandon(self)

    def fail(self, error: ServingError) -> None:
        """End the attempt: what the engine says is of no use."""
        if not self._ended.done():
            self._ended.set_result(error)

    def give_up(self, now: float, first_byte_timeout_s: float, stall_timeout_s: float, client_timeout_s: float) -> None:
        """
        End the attempt if its engine, or its client, has been silent for too long.

        Args:
            now: loop time, in seconds.
            first_byte_timeout_s: for the engine to begin.
            stall_timeout_s: for the engine to go on. While its client takes nothing, it is not read, and not silent.
            client_timeout_s: for the client to take something.
        """
        full_since = self._answer.full_since
        if full_since is not None:
            if now - full_since > client_timeout_s and not self._ended.done():
                self._ended.set_exception(ClientDisconnected())
        elif not self._has_body and now - self.last_read_at > first_byte_timeout_s:
            self._end(EngineTimeout(f"The engine did not begin its answer within {first_byte_timeout_s:g} s."))
        elif self._has_body and now - max(self.last_read_at, self._resumed_at) > stall_timeout_s:
            self._end(EngineTimeout(f"The engine fell silent for {stall_timeout_s:g} s within its answer."))

    def _set_pace(self) -> None:
        self._answer.on_full = self._pause
        self._answer.on_drained = self._resume

    def _pause(self) -> None:
        self._connection.pause_reading(self)

    def _resume(self) -> None:
        self._resumed_at = self._loop.time()
        self._connection.resume_reading(self)

    # what the connection calls

    def head_received(self, status: int, headers: dict[bytes, bytes]) -> None:
        self.has_head = True
        self._status = status
        self._is_stream = status == _OK and headers.get(b"content-type", b"").startswith(b"text/event-stream")

    def data_received(self, data: bytes, *, is_last: bool) -> None:
        now = self._loop.time()
        gap_s = now - self.last_read_at
        self.last_read_at = now
        self._has_body = True
        if not self._is_stream:
            self._collected.append(data)
            if is_last:
                self._answer_whole(b"".join(self._collected))
            return
        events = self._events
        passed = events.feed(data)
        for pair in self._replaced:
            passed = passed.replace(*pair)
        if self._has_token:
            self.meter.next_token(gap_s)
        elif passed:
            self._begin()
        if passed and self.kept is not None:
            self.kept.append(passed)
        if is_last or events.is_over:
            self._finish_stream(passed)
        elif passed:
            self._answer.write(passed, is_last=False)

    def _begin(self) -> None:
        self._has_token = True
        self.first_token_at = self.last_read_at
        self._set_pace()
        if self.on_begun is not None:
            self.on_begun()
        self.meter.first_token()
        self._answer.start_stream()

    def connection_lost(self, error: ConnectionLost) -> None:
        self.is_lost = True
        if self._answer.has_content:
            self._end(EngineFailed(f"The engine was lost in the middle of its answer: {error}."))
        else:
            self._end(EngineUnavailable(f"The engine was lost before its answer: {error}.", retry_after_s=1))

    # endings

    def _answer_whole(self, body: bytes) -> None:
        if self._status != _OK:
            self._end_by(self._profile.read_error(self._status, body))
            return
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            self._end(EngineFailed("The engine's answer was not JSON.", from_engine=True))
            return
        if self._answer.status is not None:  # the headers of an event stream went ahead
            self._end(EngineFailed("The engine did not stream its answer.", from_engine=True))
            return
        self._events.usage = read_usage(document)
        for pair in self._replaced:
            body = body.replace(*pair)
        self._answer.send_whole(_OK, body)
        self._end(None)

    def _finish_stream(self, passed: bytes) -> None:
        events = self._events
        if events.is_done and events.error is None:
            self._answer.write(passed, is_last=True)
            self._end(None)
            self._connection.finish(self)  # some servers end the body later, or never
            return
        if passed:
            self._answer.write(passed, is_last=False)
        if events.error is not None:
            self._end_by(self._profile.read_stream_error(events.error))
        else:
            self._end(EngineFailed("The engine ended its stream without saying that it was done.", from_engine=True))

    def _end_by(self, error: ServingError) -> None:
        """By the engine's own word. That it is dead is a loss like that of its connection."""
        self.is_lost = isinstance(error, EngineUnavailable)
        if self.is_lost and self._answer.has_content:
            error = EngineFailed(error.message, from_engine=True)
        self._end(error)

    def _end(self, error: ServingError | None) -> None:
        if not self._ended.done():
            self._ended.set_result(error)
