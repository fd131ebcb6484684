"""A text completion for a client with an API of its own."""

from router.call import ROUTES, Call
from router.fim.template import ExtraFile
from router.http.bodies import encode_object
from router.wire_apis.pieces import Json

COMPLETION_ROUTE = ROUTES["/v1/completions"]


def completion_call(body: Json, session: bytes = b"", *, is_stream: bool, extra: tuple[ExtraFile, ...] = ()) -> Call:
    """
    The text completion with this body, as if a client had asked for it. Its stream has the usage.

    Args:
        body: of it, without anything that says whether it is a stream.
        session: what the client's headers call the conversation.
        is_stream: whether the engine is to stream it.
        extra: parts of other files that are to be known for it.

    Raises:
        InvalidRequest: a field has the wrong type or range.
    """
    COMPLETION_ROUTE.check(body)
    if is_stream:
        body = {**body, "stream": True, "stream_options": {"include_usage": True}}
    raw = encode_object(body)
    return Call(COMPLETION_ROUTE, body, raw, body["model"], is_stream, is_stream, session, extra=extra)
