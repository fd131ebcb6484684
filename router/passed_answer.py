"""An engine's answer that goes to the client as it is: a text, events, or sound."""

from typing import Final

from router.call import Call
from router.errors import ModelDoesNotSupport, ServingError
from router.exchange import Exchange, TokenMeter
from router.fitting.profiles import NO_ROUTE_STATUSES, Profile
from router.http.answer import Answer, UnreadSink
from router.http.asgi import Headers
from router.models.table import Model
from router.replicas.upstream import UpstreamConnection

_OK: Final = 200
_PASSED_ON: Final = (b"content-type", b"content-length", b"content-disposition")
_COMES_IN_PARTS: Final = (b"text/event-stream", b"audio/", b"video/", b"application/octet-stream")
"""How kinds of content begin that are worth something before they are whole."""
_EVENTS: Final = b"text/event-stream"


class PassedAnswer(Answer):
    """Takes what an engine says with the headers that it has there. Cut sound has no words about why."""

    _has_events = False

    @property
    def unread(self) -> UnreadSink:
        return self

    def start_as(self, headers: Headers) -> None:
        """Send status 200 and the headers of an answer that comes in parts."""
        self._has_events = dict(headers).get(b"content-type", b"").startswith(_EVENTS)
        self.start_stream(headers)

    def _error_event(self, error: ServingError) -> bytes:
        return super()._error_event(error) if self._has_events else b""


class PassedExchange(Exchange):
    """
    Pipes an answer without looking into it.

    Texts and JSON are collected first, as any whole answer is. Sound and events go on as they come, and end where the
    engine's answer ends: not every engine has an end mark of its own.
    """

    def __init__(
        self,
        connection: UpstreamConnection,
        answer: UnreadSink,
        profile: Profile,
        meter: TokenMeter,
        call: Call,
        model: Model,
    ) -> None:
        super().__init__(connection, answer, profile, meter, wants_usage=False)
        self._passed = answer
        self._call = call
        self._model = model
        self._headers: Headers = []

    def head_received(self, status: int, headers: dict[bytes, bytes]) -> None:
        super().head_received(status, headers)
        self._headers = [(name, headers[name]) for name in _PASSED_ON if name in headers]
        self._is_stream = status == _OK and headers.get(b"content-type", b"").lower().startswith(_COMES_IN_PARTS)

    def data_received(self, data: bytes, *, is_last: bool) -> None:
        if not self._is_stream:
            super().data_received(data, is_last=is_last)
            return
        self.last_read_at = self._loop.time()
        self._has_body = True
        if data and not self._has_token:
            self._passed.start_as(self._headers)
            self._begin()
        if is_last and not self._has_token:
            self._answer_whole(b"")
            return
        if data or is_last:
            self._answer.write(data, is_last=is_last)
        if is_last:
            self._end(None)

    def _answer_whole(self, body: bytes) -> None:
        if self._status == _OK:
            kind = [(name, value) for name, value in self._headers if name != b"content-length"]
            self._passed.send_whole(_OK, body, kind)
            self._end(None)
        elif self._status in NO_ROUTE_STATUSES:
            name, path = self._model.name, self._call.route.path
            said = f"The engine of the model {name!r} does not answer {path}."
            self._end(ModelDoesNotSupport(said, param="model", from_engine=True))
        else:
            self._end(self._profile.read_error(self._status, body))
