"""Paths as clients join them, from an address that ends with a slash and a route that begins with one."""

import re
from typing import Final

from router.http.asgi import Scope

_SEVERAL_SLASHES: Final = re.compile(r"/{2,}")


def with_one_slash_ahead(scope: Scope) -> Scope:
    """The same request with a path that begins with one slash, not several: a key in it is to be found."""
    path: str = scope["path"]
    if not path.startswith("//"):
        return scope
    sent: bytes = scope.get("raw_path") or b""
    return {**scope, "path": "/" + path.lstrip("/"), "raw_path": b"/" + sent.lstrip(b"/")}


def with_single_slashes(scope: Scope) -> Scope:
    """
    The same request at the path that was meant: `/v1//models/` is `/v1/models`.

    It is not redirected there: a redirect would have to know how its client reaches us, and repeat the key that the
    path began with.
    """
    path: str = scope["path"]
    if "//" not in path and (path == "/" or not path.endswith("/")):
        return scope
    meant = _SEVERAL_SLASHES.sub("/", path).rstrip("/") or "/"
    return {**scope, "path": meant, "raw_path": meant.encode()}
