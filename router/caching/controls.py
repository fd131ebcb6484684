"""What a request itself says of the cache, in its headers."""

import re
from dataclasses import dataclass

from router.errors import InvalidRequest
from router.http.asgi import Scope

CACHE_HEADER = b"x-enginehouse-cache"
NAMESPACE_HEADER = b"x-enginehouse-cache-namespace"

_NAMESPACE = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(slots=True, frozen=True)
class Controls:
    """
    What the client allows.

    `max_age_s` is the greatest age of a kept answer, in seconds; None is any. `is_wanted` asks for an answer to be
    kept that would not be by itself, False that nothing is kept or shared, None leaves it to the model's policy.
    """

    may_read: bool = True
    may_write: bool = True
    max_age_s: float | None = None
    namespace: str = ""
    is_wanted: bool | None = None


DEFAULT = Controls()


def read_controls(scope: Scope) -> Controls:
    """
    From `cache-control: no-cache, no-store, max-age=SECONDS`, `x-enginehouse-cache: on | off` and
    `x-enginehouse-cache-namespace: NAME`.

    Raises:
        InvalidRequest: one of our own headers has another value. `cache-control` is any program's to send: what is
            not understood there is passed over, as RFC 9111 asks.
    """
    found: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name in (b"cache-control", CACHE_HEADER, NAMESPACE_HEADER):
            found[name] = value.decode("latin-1").strip()
    if not found:
        return DEFAULT
    directives = [word.strip().lower() for word in found.get(b"cache-control", "").split(",")]
    ages = [word.removeprefix("max-age=") for word in directives if word.startswith("max-age=")]
    seconds = [int(age) for age in ages if age.isascii() and age.isdigit()]
    return Controls(
        may_read="no-cache" not in directives and "no-store" not in directives,
        may_write="no-store" not in directives,
        max_age_s=min(seconds, default=None),
        namespace=_namespace(found.get(NAMESPACE_HEADER)),
        is_wanted=_is_wanted(found.get(CACHE_HEADER)),
    )


def _is_wanted(value: str | None) -> bool | None:
    if value is None:
        return None
    if value not in ("on", "off"):
        raise InvalidRequest("The header x-enginehouse-cache must be `on` or `off`.", param="x-enginehouse-cache")
    return value == "on"


def _namespace(value: str | None) -> str:
    if value is None:
        return ""
    if not _NAMESPACE.fullmatch(value):
        name = NAMESPACE_HEADER.decode()
        raise InvalidRequest(
            f"The header {name} must be 1 to 64 letters, digits, dots, dashes and underscores.", param=name
        )
    return value
