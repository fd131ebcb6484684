"""
Bodies as clients send them, of the size that they really have: made here, none of them recorded.

Sizes and numbers of tools were seen on the wire; the words are filler. Pure, and the same every time.
"""

from collections.abc import Callable, Mapping
from itertools import cycle, islice
from typing import Any

import orjson

Body = dict[str, Any]

_SENTENCES = (
    "Read a file before you change it, and change no more of it than the task asks for.",
    "When a command fails, read what it printed, find the cause, and only then try something else.",
    "Prefer the tools that you were given over commands in a terminal, as their results are shorter.",
    "Say in one sentence what you are about to do, do it, and report what came of it.",
    "Never invent the name of a file, a symbol or an option: look for it first.",
    "Keep to the style of the code around, and add a test where there are tests.",
    "Ask when the task is not clear, and go on when it is.",
    "Paths are absolute; line numbers begin with one.",
)
_VERBS = ("read", "list", "find", "edit", "create", "run", "open", "rename")
_NOUNS = ("file", "folder", "symbol", "notebook", "terminal", "test", "problem", "page")


def size_of(body: Mapping[str, Any]) -> int:
    """In bytes, as it goes over the wire."""
    return len(orjson.dumps(body))


def prose(num_bytes: int) -> str:
    """Instructions of exactly so many bytes, to nobody in particular."""
    text = ""
    for sentence in cycle(_SENTENCES):
        if len(text) >= num_bytes:
            return text[:num_bytes]
        text += sentence + " "
    raise AssertionError("a cycle never ends")


def fitted(body_with: Callable[[str], Body], num_bytes: int) -> Body:
    """The body of exactly `num_bytes`: what is missing is made up with instructions."""
    missing = num_bytes - size_of(body_with(""))
    if missing < 0:
        raise ValueError(f"the body has {-missing} bytes too many without any instructions")
    return body_with(prose(missing))


def functions(count: int, num_bytes_each: int, *, is_strict: bool = False) -> list[Body]:
    """So many tools, as OpenAI's chat has them. `is_strict` sets `strict` and closes the schemas."""
    tools: list[Body] = []
    for name, description, parameters in _tools(count, num_bytes_each, is_strict=is_strict):
        function: Body = {"name": name, "description": description, "parameters": parameters}
        tools.append({"type": "function", "function": function | ({"strict": True} if is_strict else {})})
    return tools


def flat_functions(count: int, num_bytes_each: int) -> list[Body]:
    """The same, as OpenAI's Responses have them."""
    return [
        {"type": "function", "name": name, "description": description, "strict": False, "parameters": parameters}
        for name, description, parameters in _tools(count, num_bytes_each, is_strict=False)
    ]


def anthropic_tools(count: int, num_bytes_each: int) -> list[Body]:
    """The same, as Anthropic's Messages have them."""
    return [
        {"name": name, "description": description, "input_schema": parameters}
        for name, description, parameters in _tools(count, num_bytes_each, is_strict=False)
    ]


def _tools(count: int, num_bytes_each: int, *, is_strict: bool) -> list[tuple[str, str, Body]]:
    names = [f"{verb}_{noun}" for noun in _NOUNS for verb in _VERBS]
    tools = []
    for name in islice(names, count):
        parameters: Body = {
            "type": "object",
            "properties": {
                "path": {"type": "string", "description": "Where it is, as an absolute path."},
                "query": {"type": "string", "description": "What to look for."},
                "limit": {"type": "integer", "description": "The largest number of results."},
                "kinds": {"type": "array", "items": {"type": "string", "enum": ["code", "text", "other"]}},
            },
            "required": ["path", "query", "limit", "kinds"] if is_strict else ["path"],
        }
        if is_strict:
            parameters["additionalProperties"] = False
        rest = num_bytes_each - size_of({"name": name, "description": "", "parameters": parameters})
        tools.append((name, prose(max(rest, 0)), parameters))
    return tools
