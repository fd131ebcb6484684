"""ASGI's types, as far as the router speaks them."""

from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Coroutine[Any, Any, Message]]
Send = Callable[[Message], Coroutine[Any, Any, None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
WriteChunk = Callable[[bytes], bool]
"""Writes a body that is not the last one at once. False when `send()` has to do it: the client is behind."""

WRITE_CHUNK = "enginehouse.write_chunk"
"""The scope's extension that holds a WriteChunk, where the server is our own listener. It saves the 2 µs that a
coroutine and its message cost for each token."""

BATCH_TENANT = "enginehouse.batch_tenant"
"""The scope's extension that makes a request a line of a batch: whose batch it is. No client can set it."""


_BY_NAME = "enginehouse.headers"
"""Where a scope keeps its headers by name: half a dozen of them are looked up for each request."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that name, which is in lower case."""
    headers = scope["headers"]
    kept: tuple[object, dict[bytes, bytes]] | None = scope.get(_BY_NAME)
    if kept is None or kept[0] is not headers:  # a scope made of another one has the other's
        kept = scope[_BY_NAME] = headers, dict(reversed(headers))
    return kept[1].get(name)
