"""
What an answer's tags mean: reasoning and tool calls.

Each is a function of the text so far, so that a stream is the difference of two of its values. All tool parsers
read the tags of Qwen 3, whatever their names; the real ones each read their own model's.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

OPEN, CLOSE = "<tool_call>", "</tool_call>"
_NAME = re.compile(r'\s*\{\s*"name"\s*:\s*"([^"]+)"')
_ARGUMENTS = re.compile(r'"arguments"\s*:\s*')


@dataclass(frozen=True)
class Call:
    """
    Attributes:
        arguments: JSON; as much of it as is certain.
    """

    name: str
    arguments: str


def split_reasoning(parser: str | None, text: str, *, is_finished: bool) -> tuple[str, str]:
    """Reasoning and content. `deepseek-r1` reasons from the first token on, the others after `<think>`."""
    if parser is None:
        return "", text
    if parser != "deepseek-r1" and not text.startswith("<think>"):
        is_undecided = "<think>".startswith(text) and not is_finished
        return "", "" if is_undecided else text
    thought, end, content = text.removeprefix("<think>").partition("</think>")
    if not end and not is_finished:
        thought = _without_partial(thought, "</think>")
    return thought, content


def split_calls(text: str, *, is_finished: bool) -> tuple[str, list[Call]]:
    """The text before the first call, and the calls. What follows a call is dropped."""
    normal, tag, rest = text.partition(OPEN)
    if not tag:
        return (normal if is_finished else _without_partial(normal, OPEN)), []
    calls = []
    for part in rest.split(OPEN):
        body, closing, _ = part.partition(CLOSE)
        if name := _NAME.match(body):
            calls.append(Call(name[1], _arguments(body, is_closed=bool(closing))))
    return normal, calls


def _arguments(body: str, *, is_closed: bool) -> str:
    whole = _first_value(body)
    if is_closed or whole is not None:
        return json.dumps((whole or {}).get("arguments", {}))
    if not (start := _ARGUMENTS.search(body)):
        return ""
    # Of an unfinished value only that is certain on which it and its predecessor agree: one character behind.
    longest = ""
    for end in range(start.end() + 1, len(body) + 1):
        before, now = _closed(body[start.end() : end - 1]), _closed(body[start.end() : end])
        if before and now != before:
            agreed = _common_prefix(json.dumps(before), json.dumps(now))
            longest = max(longest, agreed, key=len)
    return longest


def _common_prefix(one: str, other: str) -> str:
    length = next((index for index, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
    return min(one, other, key=len) if length is None else one[:length]


def _parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _first_value(body: str) -> Any:
    """The value that a text begins with; its closing tag may follow, whole or in part."""
    try:
        return json.JSONDecoder().raw_decode(body.lstrip())[0]
    except ValueError:
        return None


def _closed(text: str) -> Any:
    """The value of a JSON text that ends anywhere, without what is not complete enough to be read."""
    for end in range(len(text), 0, -1):
        value = _parsed(text[:end] + _closers(text[:end]))
        if value is not None:
            return value
    return None


def _closers(text: str) -> str:
    stack, is_string, is_escaped = "", False, False
    for character in text:
        if is_string:
            is_string = is_escaped or character != '"'
            is_escaped = character == "\\" and not is_escaped
        elif character == '"':
            is_string = True
        elif character in "{[":
            stack = ("}" if character == "{" else "]") + stack
        elif character in "}]":
            stack = stack[1:]
    return ('"' if is_string else "") + stack


def _without_partial(text: str, tag: str) -> str:
    for length in range(min(len(tag) - 1, len(text)), 0, -1):
        if tag.startswith(text[-length:]):
            return text[:-length]
    return text
