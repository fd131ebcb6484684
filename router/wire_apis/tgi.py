"""
`POST /generate`: a text that goes on, in the form of Hugging Face's Text Generation Inference, as llm-ls asks for it.

Source: TGI's OpenAPI document, `GenerateRequest` and `GenerateResponse`; llm-ls, `backend.rs`, which reads one object
with `generated_text`, or with an `error` that is a string. It names no model and brings its own marks for filling in.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from router.call import Call
from router.errors import ModelNotFound, ServingError, UnsupportedParameter
from router.fim.filling import first_that_fills_in
from router.http.asgi import Receive, Scope, Send
from router.http.bodies import parse_object
from router.state import RouterState
from router.wire_apis.completing import completion_call
from router.wire_apis.fields import optional_object, string_at
from router.wire_apis.pieces import Json
from router.wire_apis.translation import ErrorWords, Reading, TranslatedGeneration

_NAMES: Mapping[str, str] = {
    "prompt": "inputs", "max_tokens": "parameters.max_new_tokens", "temperature": "parameters.temperature",
    "top_p": "parameters.top_p", "stop": "parameters.stop", "seed": "parameters.seed",
}  # fmt: skip
"""Fields of a completion, as they are called here."""
_SAME = ("temperature", "top_p", "stop", "seed", "frequency_penalty")
"""Parameters that mean the same in both."""
_DEFAULT_MAX_TOKENS = 100
"""Where a request says nothing. Source: TGI 3."""


class TgiErrors:
    """One string, with the name of the field at fault."""

    def body(self, error: ServingError, request_id: str) -> bytes:  # noqa: ARG002 - every API's signature
        own = None if error.param is None else _NAMES.get(error.param, error.param)
        said = error.message if own is None else error.message.replace(f"`{error.param}`", f"`{own}`")
        kind = "overloaded" if error.status in (429, 503) else "generation" if error.status >= 500 else "validation"
        return orjson.dumps({"error": said, "error_type": kind})

    def event(self, error: ServingError, request_id: str) -> bytes:
        return self.body(error, request_id)


class Generate:
    """Answered whole: llm-ls asks for nothing else."""

    path = "/generate"
    summary = "A text that goes on, as Text Generation Inference has it"
    methods: tuple[str, ...] = ("POST",)
    needs_key = True
    errors: ErrorWords = TgiErrors()
    id_header: bytes | None = None

    def read(self, raw: bytes, request_id: str) -> Reading:  # noqa: ARG002 - every API's signature
        """
        Without a model, unless the request names one.

        Raises:
            InvalidRequest: the request has a mistake, which the message names.
        """
        document = parse_object(raw)
        if document.get("stream") is True:
            raise UnsupportedParameter("`stream` is not possible here: ask at /v1/completions.", param="stream")
        prompt = string_at(document, "inputs", "")
        given = optional_object(document, "parameters")
        body: Json = {"prompt": prompt, "max_tokens": given.get("max_new_tokens") or _DEFAULT_MAX_TOKENS}
        body |= {name: given[name] for name in _SAME if given.get(name) is not None}
        if "temperature" not in body and not given.get("do_sample"):
            body["temperature"] = 0
        if document.get("model") is not None:
            body["model"] = string_at(document, "model", "")
        return Reading(body, _Writer(prompt if given.get("return_full_text") is True else ""))

    async def serve(self, state: RouterState, scope: Scope, receive: Receive, send: Send) -> None:
        await _Generation(state, self, scope, receive, send).serve()


class _Generation(TranslatedGeneration):
    def _call(self, reading: Reading, session: bytes) -> Call:
        named = reading.body.get("model")
        chosen = first_that_fills_in(named, self._table, self._state.directory)
        if chosen is None:
            raise ModelNotFound(
                "No model here is known to fill in: ask at /v1/completions, with a model.", param="model"
            )
        return completion_call({**reading.body, "model": chosen}, session, is_stream=False)


@dataclass(slots=True)
class _Writer:
    """`before` is what the text goes on from, where the client wants that, too."""

    before: str

    def whole(self, completion: Json) -> bytes:
        return orjson.dumps({"generated_text": self.before + completion["choices"][0]["text"]})

    def feed(self, chunk: Json) -> bytes:
        raise TypeError(f"it was not asked for as a stream: {chunk!r}")

    def end(self) -> bytes:
        return b""
