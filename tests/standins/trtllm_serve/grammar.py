"""
A stand-in for the grammar backends: the smallest JSON value that a schema allows.

A schema of which no keyword is known allows every value, as in xgrammar: the wrapper that OpenAI's clients send is one.
"""

import json
from typing import Any

UNCONSTRAINED = {"answer": "unconstrained"}
_KEYWORDS = frozenset({"$ref", "allOf", "anyOf", "const", "enum", "items", "oneOf", "properties", "type"})


def constrained_text(kind: str, rule: Any) -> str | None:
    """
    An answer that obeys, or None where no constraint is simulated: regex, ebnf and structural tags.

    Args:
        kind: `json`, `json_object`, or another of the real kinds.
        rule: for `json` the schema.
    """
    if kind == "json_object":
        return json.dumps(UNCONSTRAINED)
    if kind == "json":
        return json.dumps(_instance(rule, rule) if isinstance(rule, dict) else UNCONSTRAINED)
    return None


def _instance(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    if not _KEYWORDS & schema.keys():
        return UNCONSTRAINED
    if "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return _instance(target, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for keyword in ("anyOf", "oneOf", "allOf"):
        if keyword in schema:
            return _instance(schema[keyword][0], root)
    return _typed(schema, root)


def _typed(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    kind = schema.get("type", "object")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        # Properties that are not required come too: OpenAI's strict schemas require all of them.
        return {name: _instance(value, root) for name, value in schema.get("properties", {}).items()}
    if kind == "array":
        return [_instance(schema.get("items", {"type": "string"}), root)] * max(1, schema.get("minItems", 1))
    if kind == "integer":
        return schema.get("minimum", 1)
    return {"string": "text", "number": 1.5, "boolean": True}.get(kind)
