"""What can be said of two answers to one request without judging their words. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from router.caching.transcripts import NotAnAnswer, whole_from_stream
from router.call import Call

LENGTH_FACTOR = 2.0
"""How much longer one answer may be than the other and still be its equal."""
LENGTH_SLACK_CHARS = 64
"""Characters by which lengths may differ in any case: of short answers a word more is no matter."""


@dataclass(slots=True, frozen=True)
class Shape:
    """An answer without its words. A valid tool call names a tool of the request and gives a JSON object."""

    num_chars: int
    num_tool_calls: int = 0
    num_valid_tool_calls: int = 0

    @property
    def has_bad_tool_calls(self) -> bool:
        return self.num_valid_tool_calls < self.num_tool_calls


def shape_of(answer: bytes, call: Call, *, is_stream: bool) -> Shape | None:
    """None where it is no answer that can be read."""
    try:
        document = whole_from_stream(answer, is_chat=call.route.is_chat) if is_stream else orjson.loads(answer)
        return _shape(document["choices"], set(_tool_names(call.body)))
    except (NotAnAnswer, orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        return None


def differences(client: Shape | None, shadow: Shape | None) -> tuple[str, ...]:
    """
    What the shadow did worse or otherwise than what the client got: `error`, `length`, `tool_calls`.

    Nothing where the client got an error: then there is nothing to be equal to. None stands for an error.
    """
    if client is None:
        return ()
    if shadow is None:
        return ("error",)
    found = []
    if not client.num_tool_calls and not shadow.num_tool_calls and not _are_alike(client.num_chars, shadow.num_chars):
        found.append("length")
    if shadow.has_bad_tool_calls and not client.has_bad_tool_calls:
        found.append("tool_calls")
    return tuple(found)


def _are_alike(one: int, other: int) -> bool:
    short, long = sorted((one, other))
    return long - short <= LENGTH_SLACK_CHARS or long <= short * LENGTH_FACTOR


def _shape(choices: Iterable[Mapping[str, Any]], tool_names: set[str]) -> Shape:
    num_chars = 0
    calls: list[Mapping[str, Any]] = []
    for choice in choices:
        message = choice.get("message")
        if message is None:
            num_chars += len(choice.get("text") or "")
            continue
        num_chars += len(message.get("content") or "")
        calls += message.get("tool_calls") or []
    return Shape(num_chars, len(calls), sum(_is_valid(call, tool_names) for call in calls))


def _is_valid(call: Mapping[str, Any], tool_names: set[str]) -> bool:
    function = call.get("function") or {}
    try:
        arguments = orjson.loads(function.get("arguments") or "{}")
    except orjson.JSONDecodeError:
        return False
    return function.get("name") in tool_names and isinstance(arguments, dict)


def _tool_names(body: Mapping[str, object]) -> Iterable[str]:
    tools = body.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            yield function["name"]
