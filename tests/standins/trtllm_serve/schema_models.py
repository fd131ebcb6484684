"""Pydantic models built from the JSON tables beside this file, so that errors read as the real server's."""

import json
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, create_model

Schema = dict[str, Any]

_SCALARS: dict[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool, "null": None}
_BOUNDS = {"minimum": "ge", "exclusiveMinimum": "gt"}


class SchemaModels:
    """
    The models of one table.

    Args:
        table: a file with `models` and `$defs` in JSON schema, of which only the keywords in the tables are known.
        bases: a base class by model name; a place for validators.
        extra_fields: fields that a version added, by model name.
    """

    def __init__(
        self,
        table: Path,
        *,
        bases: Mapping[str, type[BaseModel]] | None = None,
        extra_fields: Mapping[str, Schema] | None = None,
    ) -> None:
        data = json.loads(table.read_bytes())
        self._schemas: Schema = data["$defs"] | data["models"]
        self._aliases: dict[str, dict[str, str]] = data.get("aliases", {})
        self._bases = bases or {}
        for name, fields in (extra_fields or {}).items():
            self._schemas[name]["properties"].update(fields)
        self._made: dict[str, Any] = {}

    def model(self, name: str) -> Any:
        if name not in self._made:
            schema = self._schemas[name]
            self._made[name] = self._enum(name, schema) if "enum" in schema else self._model(name, schema)
        return self._made[name]

    def _enum(self, name: str, schema: Schema) -> Any:
        kind = str if schema.get("type") == "string" else int
        return Enum(name, {str(value): value for value in schema["enum"]}, type=kind)

    def _model(self, name: str, schema: Schema) -> Any:
        required = schema.get("required", [])
        fields = {}
        for key, field in schema.get("properties", {}).items():
            python_name = self._aliases.get(name, {}).get(key, key).lstrip("_")
            alias = AliasChoices(key, python_name) if python_name != key else None
            kind = self._type(field)
            if key not in required and field.get("default") is None:
                kind = kind | None
            default = ... if key in required else field.get("default")
            bounds = {_BOUNDS[word]: field[word] for word in _BOUNDS if word in field}
            # `schema` and `json` shadow names of pydantic's own; the suffix keeps it quiet.
            if key in {"schema", "json", "copy"}:
                python_name, alias = f"{key}_", AliasChoices(key)
            fields[python_name] = (kind, Field(default, validation_alias=alias, **bounds))
        is_open = schema.get("additionalProperties") is True
        base = self._bases.get(name, BaseModel)
        configured = type(
            name, (base,), {"model_config": ConfigDict(extra="allow" if is_open else "forbid"), "__module__": __name__}
        )
        return create_model(name, __base__=configured, **fields)

    def _type(self, schema: Schema) -> Any:
        if "$ref" in schema:
            return self.model(schema["$ref"].rsplit("/", 1)[1])
        if "const" in schema:
            return Literal[schema["const"]]
        if "enum" in schema:
            return Literal[tuple(schema["enum"])]
        if members := schema.get("anyOf") or schema.get("oneOf"):
            return Union[tuple(self._type(member) for member in members)]  # noqa: UP007  members are only known here
        compound: dict[str, Callable[[Schema], Any]] = {"array": self._array, "object": self._object}
        kind = schema.get("type")
        if kind in compound:
            return compound[kind](schema)
        bounds = {_BOUNDS[word]: schema[word] for word in _BOUNDS if word in schema}
        scalar = _SCALARS[kind] if kind else Any
        if schema.get("format") == "path":
            scalar = Path
        return Annotated[scalar, Field(**bounds)] if bounds else scalar

    def _array(self, schema: Schema) -> Any:
        return list[self._type(schema.get("items", {}))]

    def _object(self, schema: Schema) -> Any:
        values = schema.get("additionalProperties")
        return dict[str, self._type(values) if isinstance(values, dict) else Any]
