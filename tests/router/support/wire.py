"""Bytes as engines send them, and bodies as clients do."""

import orjson

CHAT: dict[str, object] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
GREEDY: dict[str, object] = {**CHAT, "temperature": 0}
GREEDY_STREAM: dict[str, object] = {**GREEDY, "stream": True}
GREEDY_STREAM_WITH_USAGE: dict[str, object] = {**GREEDY_STREAM, "stream_options": {"include_usage": True}}
CHAT_STREAM: dict[str, object] = {**CHAT, "stream": True}
CHAT_STREAM_WITH_USAGE: dict[str, object] = {**CHAT_STREAM, "stream_options": {"include_usage": True}}
COMPLETION: dict[str, object] = {"model": "m", "prompt": "hi"}
EMBEDDING: dict[str, object] = {"model": "m", "input": "hi"}
RERANK: dict[str, object] = {"model": "m", "query": "hi", "documents": ["a", "b"]}

USAGE: dict[str, object] = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def whole(document: object, status: int = 200, extra_headers: str = "") -> bytes:
    """A whole answer with a JSON body."""
    return plain(orjson.dumps(document), status, "application/json", extra_headers)


def plain(body: bytes, status: int = 200, content_type: str = "text/plain", extra_headers: str = "") -> bytes:
    """A whole answer with any body. `extra_headers` are lines that each end with CRLF."""
    head = f"HTTP/1.1 {status} Status\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
    return f"{head}{extra_headers}\r\n".encode() + body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(document: object) -> bytes:
    """One server-sent event."""
    return b"data: " + orjson.dumps(document) + b"\n\n"


def token(text: str) -> bytes:
    """The event of one token, as a chunk of a chat completion."""
    return event(
        {
            "id": "c1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
        }
    )


COMPLETED: dict[str, object] = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": USAGE,
}
USAGE_EVENT = event(
    {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": USAGE}
)
STOP = event(
    {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
     "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
)  # fmt: skip
DONE = b"data: [DONE]\n\n"
TOKENS = token("Hel") + token("lo")


def stream(*parts: bytes) -> bytes:
    """A whole streamed answer, one chunk for each part."""
    return STREAM_HEAD + b"".join(map(chunk, parts)) + LAST_CHUNK


WHOLE = whole(COMPLETED)
STREAM = stream(token("Hel"), token("lo"), USAGE_EVENT, DONE)


CALL_HEAD = {"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}}


def part(delta: dict[str, object], finish: str | None = None) -> bytes:
    """One event of a streamed chat completion."""
    return event({"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def arguments(text: str) -> bytes:
    return part({"tool_calls": [{"index": 0, "function": {"arguments": text}}]})


HELLO_STREAM = stream(TOKENS, STOP, USAGE_EVENT, DONE)
CALL_STREAM = stream(
    part({"reasoning_content": "hm"}), part({"content": "I look."}), part({"tool_calls": [CALL_HEAD]}),
    arguments('{"at"'), arguments(':"it"}'), part({}, "tool_calls"), USAGE_EVENT, DONE,
)  # fmt: skip
