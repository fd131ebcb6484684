"""The simulated engine's connections: HTTP/1.1 in, calls of the scheduler out."""

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import httptools
import orjson

from deployments.engines.simulated import audio as simulated_audio
from deployments.engines.simulated import metrics as simulated_metrics
from deployments.engines.simulated import requests as simulated_requests
from deployments.engines.simulated import tokens as simulated_tokens
from deployments.engines.simulated.answers import (
    ENGINE_DEAD,
    STREAM_HEAD,
    Identity,
    StreamAnswer,
    WholeAnswer,
    response,
)
from deployments.engines.simulated.audio import SpeechAnswer, SpeechRequest, TranscriptAnswer, TranscriptRequest
from deployments.engines.simulated.gpu import GpuFullError, SimulatedGpu
from deployments.engines.simulated.requests import ApiError, Command, GenerationRequest, Json
from deployments.engines.simulated.scheduler import Generation, Scheduler

EXIT_ON_COMMAND = 70
"""The exit code of a process that was told to exit."""

SURVIVAL_S = 5.0
"""How long the server lives on without its engine, in seconds. Source: vLLM 0.30, `VLLM_WATCHDOG_TIME_S`."""

FLUSH_POLL_S = 0.001

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with a linger time of 0


@dataclass(frozen=True, slots=True)
class House:
    """What all connections share."""

    model: str
    max_model_len: int
    authorization: bytes
    """The whole value of the header that a request must have."""
    scheduler: Scheduler
    gpu: SimulatedGpu
    takes_turns: bool = False
    """Whether it may be put to sleep, as vLLM may where its routes for that are open."""
    task: str = "generate"
    """`transcribe` and `speak` are other models, with routes of their own."""


@dataclass(frozen=True, slots=True)
class Request:
    method: bytes
    path: bytes
    authorization: bytes
    content_type: bytes
    body: bytes
    is_kept_alive: bool


class Connection(asyncio.Protocol):
    """
    One client. Requests that it sends before the last answer's end are answered in turn.

    A client that is gone, or has closed its sending half, aborts what runs for it.
    """

    num_requests = 0
    """Of all connections; numbers the answers."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._generation: Generation | None = None
        self._is_answering = False
        self._is_kept_alive = True
        self._requests: deque[Request] = deque()
        self._path = b""
        self._authorization = self._content_type = b""
        self._body: list[bytes] = []
        self._expects_continue = False
        self.write: Callable[[bytes], None] = lambda _: None

    # asyncio's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.write = self._transport.write

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.close()
        except httptools.HttpParserError:
            if not self._is_answering:
                self.write(response(400, ApiError(400, "this is not HTTP").body()))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self._requests.clear()
        if self._generation is not None:
            self._house.scheduler.abort(self._generation)
            self._generation = None

    def pause_writing(self) -> None:
        self._set_writable(is_writable=False)

    def resume_writing(self) -> None:
        self._set_writable(is_writable=True)

    def _set_writable(self, *, is_writable: bool) -> None:
        if self._generation is not None:
            self._house.scheduler.set_writable(self._generation, is_writable=is_writable)

    # the parser's calls

    def on_message_begin(self) -> None:
        self._path = self._authorization = self._content_type = b""
        self._body = []
        self._expects_continue = False

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower == b"authorization":
            self._authorization = value
        elif lower == b"content-type":
            self._content_type = value
        elif lower == b"expect":
            self._expects_continue = True

    def on_headers_complete(self) -> None:
        if self._expects_continue and not self._is_answering:
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        request = Request(
            self._parser.get_method(),
            self._path.partition(b"?")[0],
            self._authorization,
            self._content_type,
            b"".join(self._body),
            self._parser.should_keep_alive(),
        )
        if self._is_answering:
            self._requests.append(request)
        else:
            self._answer(request)

    # answers

    def _answer(self, request: Request) -> None:
        self._is_answering = True
        self._is_kept_alive = request.is_kept_alive
        try:
            self._dispatch(request)
        except ApiError as error:
            self._respond(error.status, error.body())

    def _dispatch(self, request: Request) -> None:
        """Whoever may ask for a path that there is gets its answer."""
        path = request.path
        if path == b"/health":
            self._respond(503 if self._house.scheduler.is_dead else 200, b"")
            return
        if request.authorization != self._house.authorization:
            self._respond(401, b'{"error":"Unauthorized"}')  # vLLM's own shape here, unlike its other errors
            return
        expected = (
            _METHODS.get(path)
            or _TASK_METHODS[self._house.task].get(path)
            or (_TURN_METHODS.get(path) if self._house.takes_turns else None)
        )
        if expected is None:
            raise ApiError(404, "Not Found", kind="NotFoundError")
        if request.method != expected:
            raise ApiError(405, "Method Not Allowed", kind="MethodNotAllowedError")
        if path.startswith(b"/v1/audio/"):
            self._answer_audio(request)
        else:
            self._answer_known(path, request.body)

    def _answer_audio(self, request: Request) -> None:
        house = self._house
        asked: SpeechRequest | TranscriptRequest
        if request.path == b"/v1/audio/speech":
            asked = simulated_audio.parse_speech(request.body, house.model, house.max_model_len)
        else:
            asked = simulated_audio.parse_recording(
                request.path, request.content_type, request.body, house.model, house.max_model_len
            )
        if not self._may_generate(asked.generation.command):
            return
        answer = SpeechAnswer(self, asked) if isinstance(asked, SpeechRequest) else TranscriptAnswer(self, asked)
        self._generation = Generation(asked.generation, answer)
        house.scheduler.submit(self._generation)

    def _answer_known(self, path: bytes, body: bytes) -> None:
        match path:
            case b"/v1/chat/completions":
                self._generate(body, is_chat=True)
            case b"/v1/completions":
                self._generate(body, is_chat=False)
            case b"/tokenize":
                self._respond(200, self._tokenize(body))
            case b"/v1/models":
                self._respond(200, self._models())
            case b"/metrics":
                text = simulated_metrics.render(self._house.scheduler, self._house.model)
                self._respond(200, text.encode(), b"text/plain; version=0.0.4; charset=utf-8")
            case b"/is_sleeping" | b"/sleep" | b"/wake_up":
                self._take_turn(path)

    def _take_turn(self, path: bytes) -> None:
        if path == b"/sleep":
            self._sleep()
        elif path == b"/wake_up":
            self._wake()
        else:
            self._respond(200, orjson.dumps({"is_sleeping": not self._house.gpu.is_taken}))

    def _sleep(self) -> None:
        """Refused while requests run: vLLM would break them off, and whoever puts it to sleep so has lost answers."""
        if self._house.scheduler.num_running or self._house.scheduler.num_waiting:
            raise ApiError(500, "requests run that would be lost", kind="InternalServerError")
        self._house.gpu.give_back()
        self._respond(200, b"")

    def _wake(self) -> None:
        try:
            self._house.gpu.take()
        except GpuFullError as error:
            raise ApiError(500, str(error), kind="InternalServerError") from error
        # The answer comes when it is awake, as vLLM's does.
        asyncio.get_running_loop().call_later(self._house.gpu.wake_delay_s, self._respond, 200, b"")

    def _generate(self, body: bytes, *, is_chat: bool) -> None:
        house = self._house
        request = simulated_requests.parse_generation(
            body, is_chat=is_chat, model=house.model, max_model_len=house.max_model_len
        )
        if not self._may_generate(request.command):
            return
        Connection.num_requests += 1
        identity = Identity.new(Connection.num_requests, house.model, is_chat=is_chat)
        self._generation = self._new_generation(identity, request)
        house.scheduler.submit(self._generation)

    def _may_generate(self, command: Command) -> bool:
        """False where the connection was closed instead, as requested."""
        if not self._house.gpu.is_taken:
            raise ApiError(500, "the engine sleeps", kind="InternalServerError")
        if self._house.scheduler.is_dead:
            raise ENGINE_DEAD
        if command.is_refused:
            self.close()
            return False
        if command.status is not None:
            raise ApiError(command.status, f"status {command.status}, as requested", kind="SimulatedError")
        return True

    def _new_generation(self, identity: Identity, request: GenerationRequest) -> Generation:
        if not request.is_stream:
            return Generation(request, WholeAnswer(self, identity, request))
        self.write(STREAM_HEAD)  # as vLLM does, before there is a token
        return Generation(request, StreamAnswer(self, identity, request))

    def _respond(self, status: int, body: bytes, content_type: bytes = b"application/json") -> None:
        self.write(response(status, body, content_type))
        self.response_done()

    def _tokenize(self, body: bytes) -> bytes:
        fields = simulated_requests.parse_json(body)
        simulated_requests.check_model(fields, self._house.model)
        prompt = fields.get("prompt")
        text = prompt if isinstance(prompt, str) else simulated_requests.chat_prompt(fields)
        ids = simulated_tokens.mark_ids(text) or simulated_tokens.ids(text)
        return orjson.dumps(
            {
                "count": len(ids),
                "max_model_len": self._house.max_model_len,
                "tokens": ids,
                "token_strs": None,
            }
        )

    def _models(self) -> bytes:
        card: Json = {
            "id": self._house.model,
            "object": "model",
            "created": 0,
            "owned_by": "vllm",
            "root": self._house.model,
            "parent": None,
            "max_model_len": self._house.max_model_len,
        }
        return orjson.dumps({"object": "list", "data": [card]})

    # the answers' calls

    def response_done(self) -> None:
        self._generation = None
        self._is_answering = False
        if not self._is_kept_alive:
            self.close()
        elif self._requests:
            self._answer(self._requests.popleft())

    def close(self) -> None:
        self._transport.close()

    def reset(self) -> None:
        self._when_flushed(self._reset_now)

    def exit_process(self) -> None:
        self._when_flushed(self._exit_now)

    def _reset_now(self) -> None:
        connection: socket.socket = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # the client was first
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    def _exit_now(self) -> None:
        os._exit(EXIT_ON_COMMAND)

    def _when_flushed(self, action: Callable[[], None]) -> None:
        """The transport writes at the end of the loop's round; what was written shall arrive."""
        asyncio.get_running_loop().call_later(FLUSH_POLL_S, self._if_flushed, action)

    def _if_flushed(self, action: Callable[[], None]) -> None:
        if self._transport.is_closing() or self._transport.get_write_buffer_size() == 0:
            action()
        else:
            self._when_flushed(action)


_METHODS = {b"/v1/models": b"GET", b"/metrics": b"GET"}
_TASK_METHODS = {
    "generate": {b"/v1/chat/completions": b"POST", b"/v1/completions": b"POST", b"/tokenize": b"POST"},
    "transcribe": {b"/v1/audio/transcriptions": b"POST", b"/v1/audio/translations": b"POST"},
    "speak": {b"/v1/audio/speech": b"POST"},
}
_TURN_METHODS = {
    b"/is_sleeping": b"GET",
    b"/sleep": b"POST",
    b"/wake_up": b"POST",
}
