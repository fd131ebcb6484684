"""The route of OpenAI's Responses."""

import orjson

from router.errors import ServingError
from router.http.asgi import Receive, Scope, Send
from router.http.error_bodies import error_envelope
from router.http.event_stream import encode_typed_event
from router.state import RouterState
from router.wire_apis.responses.answers import ResponseWriter
from router.wire_apis.responses.requests import read_request
from router.wire_apis.translation import ErrorWords, Reading, TranslatedGeneration

_NAMES = {"messages": "input", "max_tokens": "max_output_tokens", "response_format": "text.format"}
"""Fields of a chat completion, as they are called here."""


class ResponsesErrors:
    """OpenAI's envelope. In a stream it is an event that has it too, since that is what SDKs raise."""

    def body(self, error: ServingError, request_id: str) -> bytes:  # noqa: ARG002 - every API's signature
        return orjson.dumps({"error": _fields(error)})

    def event(self, error: ServingError, request_id: str) -> bytes:  # noqa: ARG002 - every API's signature
        fields = _fields(error)
        own = {name: fields[name] for name in ("code", "message", "param")}
        return encode_typed_event({"type": "error", **own, "error": fields})


def _fields(error: ServingError) -> dict[str, str | None]:
    fields = error_envelope(error)["error"]
    param = fields["param"]
    return fields if param is None else {**fields, "param": _NAMES.get(param, param)}


class Responses:
    """`POST /v1/responses`."""

    path = "/v1/responses"
    summary = "A response, streamed or whole; none is kept"
    methods: tuple[str, ...] = ("POST",)
    needs_key = True
    errors: ErrorWords = ResponsesErrors()
    id_header: bytes | None = None

    def read(self, raw: bytes, request_id: str) -> Reading:
        """
        Raises:
            InvalidRequest: the request has a mistake, which the message names.
        """
        body, asked = read_request(raw)
        return Reading(body, ResponseWriter(asked, request_id))

    async def serve(self, state: RouterState, scope: Scope, receive: Receive, send: Send) -> None:
        await TranslatedGeneration(state, self, scope, receive, send).serve()
