"""
Runs inside vLLM's server, as its outermost middleware: nobody comes in without the replica's secret.

vLLM's own key guards `/v1` alone, while `/invocations` generates, too, and `/metrics` and `/tokenize` answer everybody.
Needs nothing but the standard library: vLLM's environment is not ours. Loaded by `--middleware`, from a folder of its
own, so that nothing else of ours comes onto vLLM's import path.
"""

import hmac
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_BODY = b'{"error":{"message":"Unauthorized","type":"authentication_error","param":null,"code":"invalid_api_key"}}'


class Guard:
    """Asks for `Authorization: Bearer SECRET` everywhere but at `/health`; the secret is in the environment."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app
        self._expected = b"Bearer " + os.environ["ENGINEHOUSE_SECRET"].encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/health" or self._is_known(scope):
            await self._app(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": _BODY})

    def _is_known(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return hmac.compare_digest(given, self._expected)
