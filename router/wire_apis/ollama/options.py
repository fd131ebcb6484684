"""Ollama's `options` as fields of a completion. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from router.wire_apis.fields import fault, optional_object
from router.wire_apis.pieces import Json


@dataclass(slots=True, frozen=True)
class _Option:
    accepts: Callable[[object], bool]
    wants: str


def _number(low: float, high: float) -> _Option:
    return _Option(
        lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high,
        f"a number from {low:g} to {high:g}",
    )


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


OPTIONS: Mapping[str, _Option] = {
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "min_p": _number(0, 1),
    "top_k": _Option(_is_integer, "an integer"),
    "seed": _Option(_is_integer, "an integer"),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "stop": _Option(
        lambda value: (
            isinstance(value, str) or (isinstance(value, list) and all(isinstance(part, str) for part in value))
        ),
        "a string or an array of strings",
    ),
    "num_predict": _Option(_is_integer, "an integer"),
}
"""Those that are passed on. The others are about how Ollama loads a model, or ways to sample that few engines have."""


def completion_fields(document: Json) -> Json:
    """
    Options that are not known are passed over, as Ollama does.

    Raises:
        InvalidRequest: one has the wrong type or range; the message names it.
    """
    given = optional_object(document, "options")
    fields: Json = {}
    for name, option in OPTIONS.items():
        value = given.get(name)
        if value is None:
            continue
        if not option.accepts(value):
            raise fault(f"options.{name}", option.wants)
        fields[name] = value
    limit = fields.pop("num_predict", 0)
    if limit > 0:  # -1 is without end, and -2 to the end of the context
        fields["max_tokens"] = limit
    if fields.get("stop") in ([], ""):
        del fields["stop"]
    return fields
