"""`/v1/audio/transcriptions`, `/v1/audio/translations` and `/v1/audio/speech`."""

from dataclasses import dataclass

from configs.router import ListenerSettings
from router.caching.shared_answers import Sharing
from router.call import AUDIO_ROUTES, Call, Route
from router.generation import Generation
from router.http.answer import Answer
from router.http.asgi import Headers, Receive, Scope, Send, WriteChunk, header
from router.models.table import Model
from router.passed_answer import PassedAnswer
from router.replicas.prefix_key import session_of
from router.state import RouterState
from router.validation import requested_model
from router.wire_apis.audio.form import MAX_FORM_BYTES, Form, read_form
from router.wire_apis.error_words import OpenAiErrors
from router.wire_apis.translation import ErrorWords

_ERRORS = OpenAiErrors({})


@dataclass(slots=True)
class FormCall(Call):
    """A call whose body is a form: `body` has its texts, `raw` all of it."""

    form: Form | None = None

    def encode_for(self, name: str, priority: int | None = None) -> bytes:  # noqa: ARG002 - forms have none
        return self.raw if self.form is None else self.form.with_model(name)


def read_form_call(route: Route, content_type: bytes | None, raw: bytes, session: bytes = b"") -> FormCall:
    """
    Raises:
        InvalidRequest: the form or one of its fields has a mistake.
        RequestTooLarge: a field that is no file is too long.
    """
    form = read_form(content_type, raw)
    body: dict[str, object] = dict(form.fields)
    name = requested_model(body)
    route.check(body)
    return FormCall(
        route, body, raw, name, wants_stream=False, wants_usage=False, session=session,
        content_type=form.content_type, form=form,
    )  # fmt: skip


class _AudioGeneration(Generation):
    """One request, and its answer. No call's `wants_stream` is set: the engine alone decides how its answer comes."""

    def _open_answer(self, send: Send, headers: Headers, write_chunk: WriteChunk | None) -> Answer:
        return PassedAnswer(send, headers, self._state.loop, write_chunk)

    def _max_body_bytes(self, listener: ListenerSettings) -> int:
        if self._route.prompt_field != "file":
            return listener.max_body_bytes
        return max(listener.max_body_bytes, listener.max_recording_bytes + MAX_FORM_BYTES)

    def _is_awaited_as_stream(self, call: Call) -> bool:
        stream = call.body.get("stream")
        return (isinstance(stream, str) and stream.lower() in ("true", "1")) or call.body.get("stream_format") == "sse"

    def _read_call(self, raw: bytes) -> Call:
        if self._route.prompt_field != "file":
            return super()._read_call(raw)
        return read_form_call(self._route, header(self._scope, b"content-type"), raw, session_of(self._scope))

    def _sharing(self, call: Call, model: Model, tenant: str) -> Sharing | None:  # noqa: ARG002 - Generation's
        """None: answers of sound are neither kept nor shared."""
        return None


@dataclass(slots=True, frozen=True)
class AudioRoute:
    """One of the paths, as `WireRoute` has them."""

    route: Route
    methods: tuple[str, ...] = ("POST",)
    needs_key: bool = True
    errors: ErrorWords = _ERRORS
    id_header: bytes | None = None

    @property
    def path(self) -> str:
        return self.route.path

    @property
    def summary(self) -> str:
        return self.route.summary

    async def serve(self, state: RouterState, scope: Scope, receive: Receive, send: Send) -> None:
        await _AudioGeneration(state, self.route, scope, receive, send).serve()


AUDIO_WIRE_ROUTES = tuple(map(AudioRoute, AUDIO_ROUTES.values()))
