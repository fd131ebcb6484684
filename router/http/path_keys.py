"""
API keys in the path, for clients that can be given an address and nothing else: `/k/KEY/v1/models` is `/v1/models`.

The key leaves the path before anybody else sees the request, so that no log, metric or error can repeat it.
"""

from typing import Final
from urllib.parse import unquote

from router.http.asgi import Scope

PREFIX: Final = "/k/"
_HIDDEN: Final = "***"
_KEY_HEADERS: Final = frozenset({b"authorization", b"x-api-key", b"api-key"})


def take_key_from_path(scope: Scope, *, is_accepted: bool) -> Scope:
    """
    The same request with its key in a header, in place of any other that is there: such clients send dummies. An empty
    one counts as none, as it does in a header.

    Args:
        scope: of a request whose path begins with `PREFIX`.
        is_accepted: whether keys may be there. If not, the key is only hidden, and nothing is found at that path.
    """
    key = _key_in(scope)
    rest = scope["path"].removeprefix(PREFIX).removeprefix(key).removeprefix("/")
    path = f"/{rest}" if is_accepted else f"{PREFIX}{_HIDDEN}/{rest}"
    cleaned: Scope = {**scope, "path": path, "raw_path": path.encode()}
    if is_accepted and key:
        others = [(name, value) for name, value in scope["headers"] if name not in _KEY_HEADERS]
        cleaned["headers"] = [*others, (b"authorization", b"Bearer " + key.encode(errors="surrogateescape"))]
    return cleaned


def _key_in(scope: Scope) -> str:
    """By the path as it was sent: a slash of the key's own, written as %2F there, is one among others in `path`."""
    sent: bytes = scope.get("raw_path") or b""
    if not sent.startswith(PREFIX.encode()):  # any letter may be written with a percent sign
        return str(scope["path"]).removeprefix(PREFIX).partition("/")[0]
    return unquote(sent.decode("ascii", errors="replace").removeprefix(PREFIX).partition("/")[0])
