"""What clients ask of files and batches, checked field by field."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from router.batches.lines import is_endpoint
from router.call import ROUTES
from router.errors import InvalidRequest

_WINDOW = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MAX_WINDOW_S = 14 * 86_400
_LIFETIME_S = (3600, 2_592_000)
"""Of a file that expires, in seconds. Source: OpenAI's `expires_after`."""
_FIELDS = ("input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after")


@dataclass(frozen=True, slots=True)
class BatchWish:
    """The body of `POST /v1/batches`. Durations in seconds."""

    input_file_id: str
    endpoint: str
    completion_window: str
    window_s: int
    metadata: dict[str, str] | None
    output_expires_after_s: int | None


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted."""

    limit: int
    after: str | None
    is_ascending: bool


def parse_batch_wish(body: Mapping[str, object]) -> BatchWish:
    """
    Raises:
        InvalidRequest: a field is missing, unknown or not what it must be.
    """
    for name in body:
        if name not in _FIELDS:
            raise InvalidRequest(f"There is no such field; there are {', '.join(_FIELDS)}.", param=name[:100])
    file_id = _text(body, "input_file_id")
    endpoint = _text(body, "endpoint")
    if not is_endpoint(endpoint):
        raise InvalidRequest(f"Must be one of {', '.join(ROUTES)}.", param="endpoint")
    window = _text(body, "completion_window")
    lifetime = body.get("output_expires_after")
    return BatchWish(
        file_id, endpoint, window, _window_s(window), _metadata(body.get("metadata")),
        None if lifetime is None else _lifetime_s(lifetime, "output_expires_after"),
    )  # fmt: skip


def parse_upload_fields(fields: Mapping[str, str]) -> int | None:
    """
    The file's lifetime in seconds; None where it is kept.

    Raises:
        InvalidRequest: a field is missing, unknown or not what it must be.
    """
    if fields.get("purpose") != "batch":
        raise InvalidRequest("Must be 'batch': files are for batches here.", param="purpose")
    names = ("expires_after[anchor]", "expires_after[seconds]")
    for name in fields:
        if name not in ("purpose", *names):
            raise InvalidRequest("There is no such field.", param=name[:100])
    anchor, seconds = (fields.get(name) for name in names)
    if anchor is None and seconds is None:
        return None
    number = int(seconds) if seconds is not None and seconds.isdecimal() and len(seconds) < 10 else seconds
    return _lifetime_s({"anchor": anchor, "seconds": number}, "expires_after")


def parse_page(query: Mapping[str, str], max_limit: int, default_limit: int) -> Page:
    """
    Raises:
        InvalidRequest: `limit` or `order` is not what it must be.
    """
    limit = query.get("limit", str(default_limit))
    if not (limit.isdecimal() and len(limit) < 10 and 1 <= int(limit) <= max_limit):
        raise InvalidRequest(f"Must be a number from 1 to {max_limit}.", param="limit")
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequest("Must be 'asc' or 'desc'.", param="order")
    return Page(int(limit), query.get("after"), order == "asc")


def page_of(ids: list[str], page: Page) -> tuple[list[str], bool]:
    """
    The ids on a page, and whether there are more. `ids` are the oldest first; ids are in the order of their age.

    An `after` that is no longer there still marks a place.
    """
    ordered = ids if page.is_ascending else ids[::-1]
    if page.after is not None:
        after = page.after
        ordered = [one for one in ordered if (one > after if page.is_ascending else one < after)]
    return ordered[: page.limit], len(ordered) > page.limit


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidRequest("Must be given, as a text.", param=name)
    return value


def _window_s(text: str) -> int:
    match = _WINDOW.fullmatch(text)
    seconds = int(match[1]) * _UNITS_S[match[2]] if match else 0
    if not 1 <= seconds <= _MAX_WINDOW_S:
        raise InvalidRequest("Must be '24h', or another time of up to '14d', as '30m'.", param="completion_window")
    return seconds


def _metadata(value: object) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) > 16:
        raise InvalidRequest("Must be an object of at most 16 pairs.", param="metadata")
    for key, text in value.items():
        if len(key) > 64 or not isinstance(text, str) or len(text) > 512:
            message = "Keys have at most 64 characters, values are texts of at most 512."
            raise InvalidRequest(message, param=f"metadata.{key[:64]}")
    return value


def _lifetime_s(value: object, name: str) -> int:
    if not isinstance(value, dict) or value.get("anchor") != "created_at":
        raise InvalidRequest("Must be 'created_at'.", param=f"{name}.anchor")
    seconds = value.get("seconds")
    low, high = _LIFETIME_S
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not low <= seconds <= high:
        raise InvalidRequest(f"Must be a number from {low} to {high}.", param=f"{name}.seconds")
    return seconds
