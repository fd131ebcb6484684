"""Reading a client's JSON: each fault is named by the field where it is."""

from collections.abc import Iterator
from typing import Any

from router.errors import InvalidRequest
from router.wire_apis.pieces import Json


def fault(where: str, wants: str) -> InvalidRequest:
    return InvalidRequest(f"`{where}` must be {wants}.", param=where)


def object_at(value: object, where: str) -> Json:
    """
    Raises:
        InvalidRequest: it is no object; so for the others, each with its own type.
    """
    if not isinstance(value, dict):
        raise fault(where, "an object")
    return value


def objects_at(value: object, where: str) -> Iterator[tuple[Json, str]]:
    """The objects of an array, each with where it is."""
    if not isinstance(value, list):
        raise fault(where, "an array of objects")
    for index, item in enumerate(value):
        yield object_at(item, f"{where}[{index}]"), f"{where}[{index}]"


def string_at(owner: Json, name: str, where: str) -> str:
    value = owner.get(name)
    if not isinstance(value, str):
        raise fault(f"{where}.{name}" if where else name, "a string")
    return value


def optional_object(owner: Json, name: str) -> Json:
    """Empty where it is absent."""
    value: Any = owner.get(name)
    return {} if value is None else object_at(value, name)
