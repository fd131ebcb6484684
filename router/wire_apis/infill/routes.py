"""
The route `/infill`.

Its generation is always streamed by the engine: only so can a client's time limits leave it with what is there.
"""

import asyncio
import logging

import orjson

from router.call import Call
from router.errors import EngineFailed, ModelNotFound, ServingError
from router.fim.filling import first_that_fills_in
from router.generation import Generation
from router.http.answer import JSON_HEADERS, Answer
from router.http.asgi import Headers, Receive, Scope, Send, WriteChunk
from router.http.event_stream import encode_event, read_events
from router.models.cards import max_model_len_of
from router.models.table import Model, ModelTable
from router.replicas.prefix_key import session_of
from router.replicas.registry import ReplicaDirectory
from router.state import RouterState
from router.wire_apis.completing import COMPLETION_ROUTE, completion_call
from router.wire_apis.error_words import OpenAiErrors
from router.wire_apis.infill.answers import InfillWriter
from router.wire_apis.infill.requests import Asked, cut_to_fit, read_request
from router.wire_apis.translation import ErrorWords

logger = logging.getLogger("enginehouse.router")

ERRORS = OpenAiErrors({"suffix": "input_suffix", "max_tokens": "n_predict", "n": "n_cmpl"})


class Infill:
    """`POST /infill`, at the root as llama.cpp has it, and beside the others."""

    summary = "What is between two texts, as llama.cpp has it"
    methods: tuple[str, ...] = ("POST",)
    needs_key = True
    errors: ErrorWords = ERRORS
    id_header: bytes | None = None

    def __init__(self, path: str) -> None:
        self.path = path

    async def serve(self, state: RouterState, scope: Scope, receive: Receive, send: Send) -> None:
        await _InfillGeneration(state, self.path, scope, receive, send).serve()


class _InfillAnswer(Answer):
    """Takes a streamed text completion; gives its client one document, or a stream of llama.cpp's own."""

    asked: Asked
    writer: InfillWriter
    limit: asyncio.Timeout
    """Ends the generation when it is over."""
    misread: EngineFailed | None = None
    _timer: asyncio.TimerHandle | None = None
    _is_out_of_time = False

    def start_stream(self, headers: Headers | None = None) -> None:
        if self.asked.is_stream:
            super().start_stream(*([] if headers is None else [headers]))

    def keep_alive(self) -> None:
        if self.asked.is_stream:
            super().keep_alive()

    def write(self, data: bytes, *, is_last: bool) -> None:
        """Whole events of the text completion."""
        if self.is_cut or self.is_complete:
            return
        self.has_content = self.has_content or bool(data)
        try:
            written = b"".join([self.writer.take(event) for event in read_events(data) if event is not None])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            logger.warning("an answer to /infill cannot be read: %r", error)
            self.misread = EngineFailed("The engine's answer is not a text completion.", from_engine=True)
            self.fail(self.misread)
            return
        if written and self.asked.is_stream:
            super().write(written, is_last=False)
        if is_last:
            self.finish()
        else:
            self._watch_time()

    def send_whole(self, status: int, body: bytes, headers: Headers = JSON_HEADERS) -> None:
        """Of an engine that does not stream: as one event."""
        del status, headers
        self.write(b"data: " + body + b"\n\n", is_last=True)

    def finish(self) -> None:
        """Give the client what there is."""
        if self.is_cut or self.is_complete:
            return
        documents = self.writer.end()
        if self.asked.is_stream:
            super().start_stream()
            super().write(b"".join(map(encode_event, documents)), is_last=True)
            return
        document = documents[0] if len(documents) == 1 else documents
        super().send_whole(200, orjson.dumps(document))

    def forget_unsent(self) -> None:
        if self.status is None:
            self.has_content = False
            self.writer.forget()

    def forget_time(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _watch_time(self) -> None:
        if not self.writer.has_text or self.asked.is_prefetch:
            return
        if self._timer is None:
            self._end_at(None)  # the limit of reading the prompt was kept
            max_s = self.asked.max_predict_s
            if max_s is not None:
                self._timer = self._loop.call_later(max_s, self._time_is_out)
        elif self._is_out_of_time:
            self._time_is_out()

    def _time_is_out(self) -> None:
        """llama.cpp's rule: no answer is cut within its first line."""
        self._is_out_of_time = True
        if self.writer.has_new_line:
            self._end_at(self._loop.time())

    def _end_at(self, at: float | None) -> None:
        if not self.limit.expired():  # or about to be
            self.limit.reschedule(at)

    def _error_body(self, error: ServingError) -> bytes:
        return ERRORS.body(error, "")

    def _error_event(self, error: ServingError) -> bytes:
        return ERRORS.event(error, "")


class _InfillGeneration(Generation):
    """One request, and its answer."""

    def __init__(self, state: RouterState, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        super().__init__(state, COMPLETION_ROUTE, scope, receive, send)
        self._account.route = path

    async def _serve(self) -> None:
        answer = self._infill
        try:
            async with asyncio.timeout(None) as answer.limit:
                await super()._serve()
        except TimeoutError:
            if not answer.limit.expired():
                raise
            answer.finish()
        finally:
            answer.forget_time()
        if answer.misread is not None:
            raise answer.misread

    def _open_answer(self, send: Send, headers: Headers, write_chunk: WriteChunk | None) -> Answer:
        self._infill = _InfillAnswer(send, headers, self._state.loop, write_chunk)
        return self._infill

    def _read_call(self, raw: bytes) -> Call:
        state, answer = self._state, self._infill
        named, asked = read_request(raw)
        name = _model_for(named, self._table, state.directory)
        if self._table.find_auto(name) is None:
            asked = cut_to_fit(asked, max_model_len_of(state, self._table.resolve(name)))
        answer.asked = asked
        answer.writer = InfillWriter(asked, self._account.arrived_at, state.loop.time)
        if asked.max_prompt_s is not None and not asked.is_prefetch:
            answer.limit.reschedule(self._account.arrived_at + asked.max_prompt_s)
        return completion_call(asked.body(name), session_of(self._scope), is_stream=True, extra=asked.extra)

    async def _give(self, call: Call, model: Model, tenant: str) -> None:
        self._infill.writer.model = model.name
        self._infill.writer.max_model_len = max_model_len_of(self._state, model)
        await super()._give(call, model, tenant)


def _model_for(named: str | None, table: ModelTable, directory: ReplicaDirectory) -> str:
    """
    The model that is named, where there is one and it can fill in; else who does so here.

    llama.vscode names a model that is nobody's unless its user has set another.

    Raises:
        ModelNotFound: nobody does.
    """
    chosen = first_that_fills_in(named, table, directory)
    if chosen is None:
        wanted = "names no model" if named is None else f"names {named[:200]!r}, which does not exist"
        raise ModelNotFound(f"The request {wanted}, and no model here is known to fill in.", param="model")
    return chosen
