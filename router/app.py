"""The router as one ASGI app: the path of a token first, FastAPI for everything else."""

import time
from collections.abc import Mapping

from router.call import ROUTES, request_id
from router.control_api import ANONYMOUS_PATHS, create_control_api, method_not_allowed
from router.errors import ServingError
from router.generation import Generation
from router.http.asgi import Message, Receive, Scope, Send
from router.http.error_bodies import error_body, error_headers
from router.http.path_keys import PREFIX, take_key_from_path
from router.http.paths import with_one_slash_ahead, with_single_slashes
from router.state import RouterState
from router.wire_apis.questions import serve_wire_route
from router.wire_apis.routes import find_wire_route
from router.wire_apis.scoring.rerank import RerankGeneration

_OTHER_PATHS: Mapping[str, str] = {"/beta/completions": "/v1/completions", "/v1/beta/completions": "/v1/completions"}
"""Where clients of DeepSeek's API ask for text completions with a suffix."""
_POSTED_TO_ROOT = "/generate"
"""What older versions of llm-ls mean by `POST /`, as servers of Text Generation Inference do."""


class RouterApp:
    """
    Serves one event loop. Behind the router's own listener and behind Serve's ingress it is the same app.

    Requests for a generation never enter FastAPI: its middleware costs more than the whole path of a short answer.
    """

    def __init__(self, state: RouterState) -> None:
        self.state = state
        self._control_api = create_control_api(state, int(time.time()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _accept_lifespan(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1003})
            return
        scope = with_one_slash_ahead(scope)
        if scope["path"].startswith(PREFIX):
            scope = take_key_from_path(scope, is_accepted=self.state.keys.are_in_paths)
        scope = with_single_slashes(scope)
        path: str = scope["path"]
        route = ROUTES.get(_OTHER_PATHS.get(path, path))
        if route is not None and scope["method"] == "POST":
            kind = RerankGeneration if route.task == "rerank" else Generation
            await kind(self.state, route, scope, receive, send).serve()
            return
        wire_route = find_wire_route(_POSTED_TO_ROOT if path == "/" and scope["method"] == "POST" else path)
        if wire_route is not None:
            await serve_wire_route(wire_route, self.state, scope, receive, send)
            return
        await self._serve_control(scope, receive, send)

    async def _serve_control(self, scope: Scope, receive: Receive, send: Send) -> None:
        common = self.state.answer_headers(request_id(scope))

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *common]}
            await send(message)

        try:
            path = scope["path"]
            if path not in ANONYMOUS_PATHS:
                self.state.keys.check(scope)
            if path in ROUTES:
                raise method_not_allowed(scope["method"], path, "POST")
        except ServingError as error:
            await _send_error(send_with_headers, error)
            return
        await self._control_api(scope, receive, send_with_headers)


async def _send_error(send: Send, error: ServingError) -> None:
    body = error_body(error)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *error_headers(error),
    ]
    if error.status == 405:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _accept_lifespan(receive: Receive, send: Send) -> None:
    """Nothing is tied to a server's start and end: whoever made the state closes it."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
