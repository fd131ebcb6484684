"""
Whether TensorRT-LLM would take a mapping as its arguments: it refuses to start with a name that it does not know.

The names and types in tensorrt_llm_fields.json are those of version 1.3.0rc3, the only one that could be asked.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import JsonValue

from configs.finding import did_you_mean

TABLE = Path(__file__).with_suffix(".json")

Fault: TypeAlias = tuple[tuple[str | int, ...], str]
"""Where in the mapping, and what is wrong there."""

_KINDS: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
    "null": type(None),
}


@cache
def _table() -> Any:  # noqa: ANN401  a JSON document
    return json.loads(TABLE.read_text())


def faults(arguments: Mapping[str, JsonValue]) -> Iterator[Fault]:
    """What is wrong with the arguments, the first of each block's faults first; nothing when they are in order."""
    yield from _faults(dict(arguments), _table()["arguments"], ())


def _faults(value: JsonValue, shape: Mapping[str, Any], path: tuple[str | int, ...]) -> Iterator[Fault]:
    if "ref" in shape:
        yield from _faults(value, _table()["blocks"][shape["ref"]], path)
    elif "anyOf" in shape:
        yield from _nearest([list(_faults(value, choice, path)) for choice in shape["anyOf"]])
    elif "enum" in shape:
        if value not in shape["enum"]:
            yield path, f"must be one of {', '.join(map(str, shape['enum']))}"
    elif "type" in shape:
        if not _is(value, shape["type"]):
            yield path, f"must be of the type {shape['type']}"
        elif isinstance(value, dict):
            yield from _faults_of_object(value, shape, path)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from _faults(item, shape.get("items", {}), (*path, index))


def _nearest(outcomes: list[list[Fault]]) -> list[Fault]:
    """Of several choices, the faults of the one that was most likely meant: that agreed furthest into the value."""
    if not all(outcomes):
        return []
    return max(outcomes, key=lambda found: (max(len(path) for path, _ in found), -len(found)))


def _faults_of_object(
    value: Mapping[str, JsonValue], shape: Mapping[str, Any], path: tuple[str | int, ...]
) -> Iterator[Fault]:
    known: Mapping[str, Any] = shape.get("properties", {})
    others = shape.get("additionalProperties", True)
    for key, inside in value.items():
        if key in known:
            yield from _faults(inside, known[key], (*path, key))
        elif others is False:
            advice = did_you_mean(key, known) or "; one that came later belongs in unchecked_llm_args"
            yield (*path, key), f"TensorRT-LLM 1.3.0rc3 knows no {key!r} here{advice}"
        elif isinstance(others, dict):
            yield from _faults(inside, others, (*path, key))


def _is(value: JsonValue, kind: str) -> bool:
    if isinstance(value, bool):  # an int to Python, and to nobody who writes YAML
        return kind == "boolean"
    return isinstance(value, _KINDS[kind])
