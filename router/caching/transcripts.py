"""A whole answer out of a stream's events, and the events of a stream out of a whole answer. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import orjson

from router.http.event_stream import DONE, encode_event, read_events

Json: TypeAlias = dict[str, Any]

_KEPT_FINISHES = frozenset({"stop", "tool_calls", "function_call"})
_PER_EVENT = frozenset({"choices", "usage", "object"})
_PLAIN_FIELDS = frozenset({"index", "delta", "text", "finish_reason", "logprobs"})
"""A part with others says more than a text."""
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
    choices: dict[int, _Choice] = {}
    try:
        for number, event in enumerate(_documents(events)):
            parts = event.get("choices", ())
            if number and _took_plain_text(parts, choices):
                continue
            document.update({name: value for name, value in event.items() if name not in _PER_EVENT})
            if event.get("usage") is not None:
                document["usage"] = event["usage"]
            for part in parts:
                index = part.get("index", 0)
                choices.setdefault(index, _Choice(index, is_chat=is_chat)).add(part)
        document["choices"] = [choices[index].whole() for index in sorted(choices)]
    except (orjson.JSONDecodeError, AttributeError, TypeError, KeyError) as error:
        raise NotAnAnswer(repr(error)) from error
    if not choices:
        raise NotAnAnswer("no choice")
    return document


def _documents(events: bytes) -> list[Json]:
    """All at once where they are as engines write them: a stream has hundreds."""
    if events.startswith(b"data: {") and events.endswith(b"}\n\n" + DONE):
        try:
            found: list[Json] = orjson.loads(b"[%b]" % events[6 : -2 - len(DONE)].replace(b"\n\ndata: ", b","))
        except orjson.JSONDecodeError:
            pass  # comments, or fields beside the data
        else:
            return found
    return [document for document in read_events(events) if document is not None]


def _took_plain_text(parts: list[Json], choices: "dict[int, _Choice]") -> bool:
    """Nearly every event is this: a piece of text for a choice that is known, and nothing else."""
    if len(parts) != 1:
        return False
    (part,) = parts
    if part.get("finish_reason") is not None or part.get("logprobs") is not None or not _PLAIN_FIELDS.issuperset(part):
        return False
    choice = choices.get(part.get("index", 0))
    return choice is not None and choice.took_text(part)


class _Choice:
    """One choice, as far as its events have come."""

    def __init__(self, index: int, *, is_chat: bool) -> None:
        self._is_chat = is_chat
        self._texts: list[str] = []
        self._message: Json = {"role": "assistant", "content": None}
        self._rest: Json = {"index": index, "finish_reason": None, "logprobs": None}

    def took_text(self, part: Json) -> bool:
        """Whether `part` has been taken: it has no more than a text."""
        source = part.get("delta") if self._is_chat else part
        text = None if source is None else source.get("content" if self._is_chat else "text")
        if text is None or (self._is_chat and len(source) != 1):  # type: ignore[arg-type]
            return False
        self._texts.append(text)
        return True

    def add(self, part: Json) -> None:
        if not self._is_chat:
            self._texts.append(part.get("text") or "")
        for name, value in part.get("delta", {}).items():
            self._add_said(name, value)
        for name, value in part.items():
            if name == "logprobs" and isinstance(value, dict):
                grown = self._rest["logprobs"] or {}
                self._rest["logprobs"] = {key: _grow(grown.get(key), more) for key, more in value.items()}
            elif name not in ("index", "delta", "text", "logprobs") and value is not None:
                self._rest[name] = _grow(self._rest.get(name), value)

    def _add_said(self, name: str, value: Any) -> None:  # noqa: ANN401 - JSON
        if name == "content":
            self._texts.extend([value] if value is not None else [])
        elif name == "tool_calls":
            for call in value or ():
                _add_tool_call(self._message.setdefault("tool_calls", []), call)
        elif isinstance(value, str) and name != "role":
            self._message[name] = (self._message.get(name) or "") + value
        elif value is not None:
            self._message[name] = _grow(self._message.get(name), value)

    def whole(self) -> Json:
        text = "".join(self._texts)
        if not self._is_chat:
            return {**self._rest, "text": text}
        # Some engines begin each stream with an empty content, also where only tools are called.
        is_said = bool(text) or (bool(self._texts) and not self._message.get("tool_calls"))
        return {**self._rest, "message": {**self._message, "content": text if is_said else None}}


def _add_tool_call(calls: list[Json], part: Json) -> None:
    index = part.get("index", len(calls))
    while len(calls) <= index:
        calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call, function = calls[index], part.get("function") or {}
    call["id"] = part.get("id") or call["id"]
    call["type"] = part.get("type") or call["type"]
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""


def _grow(have: object, more: object) -> object:
    """Lists grow; of anything else the last word counts."""
    return [*have, *more] if isinstance(have, list) and isinstance(more, list) else (have if more is None else more)


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
