"""
API keys in the path, for clients that can be given an address and nothing else: `/k/KEY/v1/models` is `/v1/models`.

The key leaves the path before anybody else sees the request, so that no log, metric or error can repeat it.
"""

from typing import Final
from urllib.parse import unquote, unquote_to_bytes

from router.asgi import Scope

PREFIX: Final = "/k/"
_HIDDEN: Final = "***"
_KEY_HEADERS: Final = frozenset({b"authorization", b"x-api-key", b"api-key"})


def take_key_from_path(scope: Scope, *, is_accepted: bool) -> Scope:
    """
    The same request with its key in a header, in place of any other that is there: such clients send dummies.

    Args:
        scope: of a request whose path begins with `PREFIX`.
        is_accepted: whether keys may be there. If not, the key is only hidden, and nothing is found at that path.
    """
    key, rest = _parted(scope)
    path = f"/{rest}" if is_accepted else f"{PREFIX}{_HIDDEN}/{rest}"
    cleaned: Scope = {**scope, "path": path, "raw_path": path.encode()}
    if is_accepted:
        others = [(name, value) for name, value in scope["headers"] if name not in _KEY_HEADERS]
        cleaned["headers"] = [*others, (b"authorization", b"Bearer " + key)]
    return cleaned


def _parted(scope: Scope) -> tuple[bytes, str]:
    """The key, and the path behind it. A key may have a `/`, so they are parted before %2F becomes one."""
    raw: bytes = scope.get("raw_path") or b""
    if raw.startswith(PREFIX.encode()):
        quoted, _, rest = raw.removeprefix(PREFIX.encode()).partition(b"/")
        return unquote_to_bytes(quoted), unquote(rest.decode("ascii"))
    key, _, rest_of_path = scope["path"].removeprefix(PREFIX).partition("/")
    return key.encode(errors="surrogateescape"), rest_of_path
