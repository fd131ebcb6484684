"""One line's request, sent through the router's own request path as a client's would be."""

from dataclasses import dataclass, field

import orjson

from router.batches.ledger import Result
from router.batches.lines import Line
from router.call import Route, new_request_id
from router.errors import InvalidRequest, ServingError
from router.generation import Generation
from router.http.asgi import BATCH_TENANT, Message, Scope
from router.http.bodies import encode_object
from router.http.error_bodies import error_envelope
from router.state import RouterState


@dataclass(slots=True)
class Reply:
    """What the request path answered. `status` is None as long as it has not."""

    request_id: str
    status: int | None = None
    parts: list[bytes] = field(default_factory=list)

    @property
    def body(self) -> object:
        content = b"".join(self.parts)
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:
            return content.decode(errors="replace")


async def ask(state: RouterState, route: Route, body: bytes, tenant: str) -> Reply:
    """
    The whole answer; every failure is one. Cancelling it aborts the request, down to the engine.

    Limits, retries, response cache and single flight are those of any request.
    """
    reply = Reply(new_request_id().decode())
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": route.path,
        "headers": [(b"x-request-id", reply.request_id.encode())],
        "extensions": {BATCH_TENANT: tenant},
    }
    never = state.loop.create_future()
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else await never  # this client never leaves

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
        else:
            reply.parts.append(bytes(message.get("body", b"")))

    await Generation(state, route, scope, receive, send).serve()
    return reply


def refusal(line: Line) -> ServingError | None:
    """Why the line cannot be asked at all, if it cannot."""
    if line.body.get("stream") is True:
        return InvalidRequest("A line of a batch cannot be streamed: leave `stream` out.", param="stream")
    return None


def encode_line(line: Line) -> bytes:
    return encode_object(line.body)


def result_of_reply(batch_id: str, line: Line, reply: Reply) -> Result:
    response = {"status_code": reply.status, "request_id": reply.request_id, "body": reply.body}
    return _result(batch_id, line, reply.status == 200, response, None)


def result_of_error(batch_id: str, line: Line, error: ServingError) -> Result:
    """As if the request path had answered it."""
    response = {"status_code": error.status, "request_id": None, "body": error_envelope(error)}
    return _result(batch_id, line, is_ok=False, response=response, error=None)


def result_never_asked(batch_id: str, line: Line, code: str, message: str) -> Result:
    """For a line whose batch ended before its turn."""
    return _result(batch_id, line, is_ok=False, response=None, error={"code": code, "message": message})


def _result(batch_id: str, line: Line, is_ok: bool, response: object, error: object) -> Result:  # noqa: FBT001 - a fact
    entry = {
        "id": f"batch_req_{batch_id.removeprefix('batch_')}_{line.number}",
        "custom_id": line.custom_id,
        "response": response,
        "error": error,
    }
    return Result(line.number, is_ok, orjson.dumps(entry))
