"""A whole answer out of a stream's events, and the events of a stream out of a whole answer. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import orjson

from router.event_stream import DONE, encode_event

Json: TypeAlias = dict[str, Any]

_KEPT_FINISHES = frozenset({"stop", "tool_calls", "function_call"})
_PER_EVENT = frozenset({"choices", "usage", "object"})
_COMMON = ("id", "created", "model", "system_fingerprint", "service_tier")
"""What each event of a stream repeats."""


class NotAnAnswer(ValueError):
    """These events are not those of OpenAI's streams."""


def is_keepable(document: Mapping[str, Any], *, keep_truncated: bool) -> bool:
    """Whether a generation came to its own end, and was not cut by a limit or a filter."""
    choices = document.get("choices")
    if not isinstance(choices, list) or not choices:
        return False
    finishes = {choice.get("finish_reason") for choice in choices if isinstance(choice, dict)}
    return finishes <= (_KEPT_FINISHES | {"length"} if keep_truncated else _KEPT_FINISHES)


def whole_from_stream(events: bytes, *, is_chat: bool) -> Json:
    """
    The answer that would have come without `stream`.

    Args:
        events: a complete stream, `[DONE]` included.

    Raises:
        NotAnAnswer: something in it cannot be put together.
    """
    document: Json = {"object": "chat.completion" if is_chat else "text_completion"}
    choices: dict[int, Json] = {}
    try:
        for event in _documents(events):
            document.update({name: value for name, value in event.items() if name not in _PER_EVENT})
            if event.get("usage") is not None:
                document["usage"] = event["usage"]
            for part in event.get("choices", ()):
                index = part.get("index", 0)
                choice = choices.setdefault(index, {"index": index, "finish_reason": None})
                _add_chat(choice, part) if is_chat else _add_text(choice, part)
    except (orjson.JSONDecodeError, AttributeError, TypeError, KeyError) as error:
        raise NotAnAnswer(repr(error)) from error
    if not choices:
        raise NotAnAnswer("no choice")
    document["choices"] = [_closed(choices[index]) for index in sorted(choices)]
    return document


def _documents(events: bytes) -> Iterator[Json]:
    for block in events.replace(b"\r\n", b"\n").split(b"\n\n"):
        payload = b"".join(line[5:].strip() for line in block.split(b"\n") if line.startswith(b"data:"))
        if payload and payload != b"[DONE]":
            yield orjson.loads(payload)


def _add_chat(choice: Json, part: Json) -> None:
    message = choice.setdefault("message", {"role": "assistant", "content": None})
    for name, value in part.get("delta", {}).items():
        if name == "tool_calls":
            for call in value or ():
                _add_tool_call(message.setdefault("tool_calls", []), call)
        elif isinstance(value, str) and name != "role":
            message[name] = (message.get(name) or "") + value
        elif value is not None:
            message[name] = _grow(message.get(name), value)
    _add_rest(choice, part)


def _add_tool_call(calls: list[Json], part: Json) -> None:
    index = part.get("index", len(calls))
    while len(calls) <= index:
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call, function = calls[index], part.get("function") or {}
    call["id"] = part.get("id") or call["id"]
    call["type"] = part.get("type") or call["type"]
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""


def _add_text(choice: Json, part: Json) -> None:
    choice["text"] = choice.get("text", "") + (part.get("text") or "")
    _add_rest(choice, part)


def _add_rest(choice: Json, part: Json) -> None:
    """Lists, log probabilities among them, which grow, and what is said once."""
    for name, value in part.items():
        if name == "logprobs" and isinstance(value, dict):
            grown = choice.get("logprobs") or {}
            choice["logprobs"] = {key: _grow(grown.get(key), more) for key, more in value.items()}
        elif name not in ("index", "delta", "text", "logprobs") and value is not None:
            choice[name] = _grow(choice.get(name), value)


def _grow(have: object, more: object) -> object:
    return [*have, *more] if isinstance(have, list) and isinstance(more, list) else (have if more is None else more)


def _closed(choice: Json) -> Json:
    choice.setdefault("logprobs", None)
    message = choice.get("message")
    if message is not None and message.get("tool_calls") and not message["content"]:
        message["content"] = None  # some engines begin each stream with an empty content
    return choice


def stream_from_whole(document: Json, *, wants_usage: bool) -> bytes:
    """The events of a stream that says the same, each choice's text in one, `[DONE]` at the end."""
    is_chat = document["object"] == "chat.completion"
    common = {name: document[name] for name in _COMMON if name in document}
    common["object"] = "chat.completion.chunk" if is_chat else "text_completion"
    events = [
        encode_event({**common, "choices": [part]})
        for choice in document["choices"]
        for part in (_chat_parts(choice) if is_chat else [choice])
    ]
    if wants_usage and document.get("usage") is not None:
        events.append(encode_event({**common, "choices": [], "usage": document["usage"]}))
    return b"".join([*events, DONE])


def _chat_parts(choice: Json) -> Iterator[Json]:
    index, message = choice["index"], choice["message"]
    said = {name: value for name, value in message.items() if name not in ("role", "tool_calls") and value is not None}
    if message.get("tool_calls"):
        said["tool_calls"] = [{"index": number, **call} for number, call in enumerate(message["tool_calls"])]
    yield {"index": index, "delta": {"role": message.get("role", "assistant"), "content": ""}, "finish_reason": None}
    if said:
        yield {"index": index, "delta": said, "logprobs": choice.get("logprobs"), "finish_reason": None}
    ending = {name: value for name, value in choice.items() if name not in ("index", "message", "logprobs")}
    yield {"index": index, "delta": {}, **ending}
