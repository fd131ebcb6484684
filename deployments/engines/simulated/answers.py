"""The simulated engine's answers as bytes, shaped as vLLM's."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import orjson

from deployments.engines.simulated.requests import ApiError, Choice, Failure, GenerationRequest
from deployments.engines.simulated.tokens import NUM_TOKEN_CHARS

_REASONS = {
    200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed",
    429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip

_PROCESS = secrets.token_hex(4)
"""Keeps the ids of several processes apart."""

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nserver: simulated\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)

ENGINE_DEAD = ApiError(
    500,
    "EngineCore encountered an issue. See stack trace (above) for the root cause.",
    kind="InternalServerError",
)
"""vLLM's words where its engine's process is gone, and its server not yet."""

ERRORS: Mapping[Failure, ApiError] = {
    "error": ApiError(500, "The generation failed.", kind="InternalServerError"),
    "dead": ENGINE_DEAD,
}


class Client(Protocol):
    """The connection that asked."""

    def write(self, data: bytes) -> None: ...

    def response_done(self) -> None:
        """The answer was written to its end: the connection may serve the next request."""

    def close(self) -> None:
        """Ends the connection in the ordinary way, after what was written."""

    def reset(self) -> None:
        """Ends the connection with a TCP reset, after what was written."""

    def exit_process(self) -> None:
        """Ends the whole engine, after what was written."""


def response(status: int, body: bytes, content_type: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 %d %b\r\nserver: simulated\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (
        status,
        _REASONS.get(status, "Error").encode(),
        content_type,
        len(body),
        body,
    )


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@dataclass(frozen=True, slots=True)
class Identity:
    """What every part of one answer repeats."""

    id: str
    model: str
    created: int

    @classmethod
    def new(cls, number: int, model: str, *, is_chat: bool) -> "Identity":
        return cls(f"{'chatcmpl' if is_chat else 'cmpl'}-{_PROCESS}{number:08x}", model, int(time.time()))


def usage(request: GenerationRequest, num_cached_tokens: int) -> dict[str, object]:
    num_completion_tokens = sum(choice.num_tokens for choice in request.choices)
    return {
        "prompt_tokens": request.num_prompt_tokens,
        "total_tokens": request.num_prompt_tokens + num_completion_tokens,
        "completion_tokens": num_completion_tokens,
        "prompt_tokens_details": {"cached_tokens": num_cached_tokens},
    }


def whole_body(identity: Identity, request: GenerationRequest, num_cached_tokens: int) -> bytes:
    return orjson.dumps(
        {
            "id": identity.id,
            "object": "chat.completion" if request.is_chat else "text_completion",
            "created": identity.created,
            "model": identity.model,
            "choices": [_whole_choice(index, choice, request) for index, choice in enumerate(request.choices)],
            "usage": usage(request, num_cached_tokens),
        }
    )


def _whole_choice(index: int, choice: Choice, request: GenerationRequest) -> dict[str, object]:
    content: dict[str, object] = (
        {"message": {"role": "assistant", "content": choice.text, "tool_calls": []}}
        if request.is_chat
        else {"text": choice.text}
    )
    ending = {"finish_reason": choice.finish_reason, "stop_reason": choice.stop_reason}
    return {"index": index, **content, "logprobs": None, **ending}


class WholeAnswer:
    """An answer that is sent at once, when its last token is due."""

    def __init__(self, client: Client, identity: Identity, request: GenerationRequest) -> None:
        self._client, self._identity, self._request = client, identity, request

    def send_tokens(self, start: int, end: int) -> None:
        raise NotImplementedError

    def finish(self, num_cached_tokens: int) -> None:
        self._client.write(response(200, whole_body(self._identity, self._request, num_cached_tokens)))
        self._client.response_done()

    def fail(self, failure: Failure) -> None:
        if failure in ERRORS:
            self._client.write(response(500, ERRORS[failure].body()))
            self._client.response_done()
        elif failure == "half_event":
            whole = response(200, whole_body(self._identity, self._request, 0))
            self._client.write(whole[: len(whole) - len(whole) // 4])
            self._client.close()
        else:
            end_connection(self._client, failure)


class StreamAnswer:
    """
    An answer as server-sent events, a chunk for each token. Tokens that are due at once leave in one write, as they
    would leave the socket's buffer anyway.

    Everything of a token's event but its four characters is made once for each choice.
    """

    __slots__ = ("_client", "_heads", "_identity", "_request", "_tail", "_texts")

    def __init__(self, client: Client, identity: Identity, request: GenerationRequest) -> None:
        self._client, self._identity, self._request = client, identity, request
        self._texts = [choice.text.encode() for choice in request.choices]
        tail = b'"},"logprobs":null,"finish_reason":null}]}\n\n'
        if not request.is_chat:
            tail = tail.replace(b'"},', b'",')
        self._heads: list[bytes] = []
        for index in range(len(request.choices)):
            head = self._event_head(index) + (b'"delta":{"content":"' if request.is_chat else b'"text":"')
            self._heads.append(b"%x\r\n%b" % (len(head) + NUM_TOKEN_CHARS + len(tail), head))
        self._tail = tail + b"\r\n"

    def _event_head(self, index: int) -> bytes:
        identity = self._identity
        return b'data: {"id":"%b","object":"%b","created":%d,"model":%b,"choices":[{"index":%d,' % (
            identity.id.encode(),
            b"chat.completion.chunk" if self._request.is_chat else b"text_completion",
            identity.created,
            orjson.dumps(identity.model),
            index,
        )

    def send_tokens(self, start: int, end: int) -> None:
        if start == 0 and self._request.is_chat:
            self._send_roles()
        if len(self._texts) == 1:
            self._client.write(self._events(0, start, end))
            return
        for position in range(start, end):
            self._client.write(b"".join(self._events(i, position, position + 1) for i in range(len(self._texts))))

    def _events(self, index: int, start: int, end: int) -> bytes:
        """The chunks of one choice's tokens; empty for a choice that ended before."""
        text, head, tail = self._texts[index], self._heads[index], self._tail
        last = max(0, len(text) - 1) // NUM_TOKEN_CHARS
        first_char, end_char = start * NUM_TOKEN_CHARS, min(end, last) * NUM_TOKEN_CHARS
        if end == start + 1 and end <= last:
            return head + text[first_char : first_char + NUM_TOKEN_CHARS] + tail
        parts: list[bytes] = []
        for char in range(first_char, end_char, NUM_TOKEN_CHARS):
            parts += (head, text[char : char + NUM_TOKEN_CHARS], tail)
        if start <= last < end:
            parts.append(self._last_event(index, text[last * NUM_TOKEN_CHARS :]))
        return b"".join(parts)

    def _send_roles(self) -> None:
        delta = b'"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n'
        self._client.write(b"".join(chunk(self._event_head(index) + delta) for index in range(len(self._texts))))

    def _last_event(self, index: int, piece: bytes) -> bytes:
        end = b'"logprobs":null,"finish_reason":"%b","stop_reason":%b}]}\n\n'
        content = b'"delta":{"content":"%b"},' if self._request.is_chat else b'"text":"%b",'
        choice = self._request.choices[index]
        reasons = (choice.finish_reason.encode(), orjson.dumps(choice.stop_reason))
        return chunk(self._event_head(index) + content % piece + end % reasons)

    def finish(self, num_cached_tokens: int) -> None:
        last = chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"
        if self._request.has_usage_chunk:
            event: dict[str, object] = {
                "id": self._identity.id,
                "object": "chat.completion.chunk" if self._request.is_chat else "text_completion",
                "created": self._identity.created,
                "model": self._identity.model,
                "choices": [],
                "usage": usage(self._request, num_cached_tokens),
            }
            last = chunk(b"data: %b\n\n" % orjson.dumps(event)) + last
        self._client.write(last)
        self._client.response_done()

    def fail(self, failure: Failure) -> None:
        if failure in ERRORS:
            error = chunk(b"data: %b\n\n" % ERRORS[failure].body())
            self._client.write(error + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
            self._client.response_done()
        elif failure == "half_event":
            self._client.write(chunk(self._event_head(0)[:-1]))
            self._client.close()
        else:
            end_connection(self._client, failure)


def end_connection(client: Client, failure: Failure) -> None:
    if failure == "cut":
        client.reset()
    elif failure == "exit":
        client.exit_process()
    # a request that hangs gets nothing
