"""An engine's answer that goes to the client as it is: a text, events, or sound."""

from typing import Final

import orjson

from router.call import Call
from router.errors import EngineFailed, ModelDoesNotSupport, ServingError
from router.exchange import Exchange, TokenMeter
from router.fitting.profiles import NO_ROUTE_STATUSES, Profile
from router.http.answer import EVENT_STREAM_HEADERS, Answer, UnreadSink
from router.http.asgi import Headers
from router.http.event_stream import encode_event
from router.http.sound_events import SoundEvents, read_sound_usage
from router.models.table import Model
from router.replicas.upstream import UpstreamConnection

_OK: Final = 200
_PASSED_ON: Final = (b"content-type", b"content-length", b"content-disposition")
_COMES_IN_PARTS: Final = (b"text/event-stream", b"audio/", b"video/", b"application/octet-stream")
"""How kinds of content begin that are worth something before they are whole."""
_EVENTS: Final = b"text/event-stream"


class PassedAnswer(Answer):
    """Takes what an engine says with the headers that it has there. Cut sound has no words about why."""

    has_events = False
    """Whether its headers said that events come, before an engine had begun or by the engine's own word."""

    @property
    def unread(self) -> UnreadSink:
        return self

    def start_stream(self, headers: Headers = EVENT_STREAM_HEADERS) -> None:
        if self.status is None:
            self.has_events = dict(headers).get(b"content-type", b"").lower().startswith(_EVENTS)
        super().start_stream(headers)

    def _error_event(self, error: ServingError) -> bytes:
        return super()._error_event(error) if self.has_events else b""


class PassedExchange(Exchange):
    """
    Pipes an answer, and changes nothing in it.

    Texts and JSON are collected first, as any whole answer is. Sound and events go on as they come, and end where the
    engine's answer ends, or at `[DONE]`: not every engine has an end mark of its own.
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
        self._heard: SoundEvents | None = None

    def head_received(self, status: int, headers: dict[bytes, bytes]) -> None:
        super().head_received(status, headers)
        self._headers = [(name, headers[name]) for name in _PASSED_ON if name in headers]
        kind = headers.get(b"content-type", b"").lower()
        self._is_stream = status == _OK and kind.startswith(_COMES_IN_PARTS)
        self._heard = SoundEvents() if self._is_stream and kind.startswith(_EVENTS) else None

    def data_received(self, data: bytes, *, is_last: bool) -> None:
        if not self._is_stream:
            super().data_received(data, is_last=is_last)
            return
        self.last_read_at = self._loop.time()
        self._has_body = True
        if self._passed.has_events and self._heard is None:
            self._end(EngineFailed("The engine did not answer with events.", from_engine=True))
            return
        if data and not self._has_token:
            self._passed.start_stream(self._headers)
            self._begin()
        if is_last and not self._has_token:
            self._answer_whole(b"")
            return
        is_done = self._note(data)
        if data or is_last:
            self._answer.write(data, is_last=is_last or is_done)
        if is_last or is_done:
            self._end(None)
            self._connection.finish(self)

    def _note(self, data: bytes) -> bool:
        """Whether the stream is over by its own word."""
        if self._heard is None:
            return False
        self._heard.note(data)
        self._events.usage = self._heard.usage
        return self._heard.is_done

    def _answer_whole(self, body: bytes) -> None:
        if self._status in NO_ROUTE_STATUSES:
            name, path = self._model.name, self._call.route.path
            said = f"The engine of the model {name!r} does not answer {path}."
            self._end(ModelDoesNotSupport(said, param="model", from_engine=True))
        elif self._status != _OK:
            self._end(self._profile.read_error(self._status, body))
        else:
            document = _json_object(dict(self._headers).get(b"content-type", b""), body)
            self._events.usage = read_sound_usage(document)
            if self._passed.status is None:
                kind = [(name, value) for name, value in self._headers if name != b"content-length"]
                self._passed.send_whole(_OK, body, kind)
                self._end(None)
            else:
                self._answer_as_events(document)

    def _answer_as_events(self, document: dict[str, object]) -> None:
        """For a client that was promised events while it waited, from an engine that does not stream."""
        text = document.get("text")
        if not isinstance(text, str):
            self._end(EngineFailed("The engine did not answer with events.", from_engine=True))
            return
        usage = {name: document[name] for name in ("usage",) if name in document}
        delta = encode_event({"type": "transcript.text.delta", "delta": text})
        done = encode_event({"type": "transcript.text.done", "text": text, **usage})
        self._answer.write(delta + done, is_last=True)
        self._end(None)


def _json_object(content_type: bytes, body: bytes) -> dict[str, object]:
    """Empty where it is none."""
    if b"json" not in content_type.lower():
        return {}
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}
