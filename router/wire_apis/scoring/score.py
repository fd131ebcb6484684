"""
`POST /v1/score`: how well texts fit a text, in vLLM's shape. It is asked of the engine as reranking.

Source: vLLM 0.30, `entrypoints/pooling/score`.
"""

import time
from dataclasses import dataclass

import orjson

from router.call import ROUTES, Call
from router.http.asgi import Receive, Scope, Send
from router.http.bodies import encode_object, parse_object
from router.state import RouterState
from router.validation import requested_model
from router.wire_apis.error_words import OpenAiErrors
from router.wire_apis.fields import fault
from router.wire_apis.pieces import Json
from router.wire_apis.translation import ErrorWords, Reading, TranslatedGeneration

_RERANK = ROUTES["/v1/rerank"]
_NAMES = (("text_1", "text_2"), ("queries", "documents"), ("data_1", "data_2"))
"""What vLLM's versions have called both."""


class Score:
    summary = "How well texts fit a text"
    methods: tuple[str, ...] = ("POST",)
    needs_key = True
    errors: ErrorWords = OpenAiErrors({})
    id_header: bytes | None = None

    def __init__(self, path: str) -> None:
        self.path = path

    def read(self, raw: bytes, request_id: str) -> Reading:
        """
        Raises:
            InvalidRequest: the request has a mistake, which the message names.
        """
        document = parse_object(raw)
        model = requested_model(document)
        query_name, documents_name = next((pair for pair in _NAMES if pair[0] in document), _NAMES[0])
        queries = _texts(document, query_name)
        if len(queries) != 1:
            raise fault(query_name, "one text: ask for each of several by itself")
        body = {"model": model, "query": queries[0], "documents": _texts(document, documents_name)}
        return Reading(body, _ScoreWriter(model, request_id))

    async def serve(self, state: RouterState, scope: Scope, receive: Receive, send: Send) -> None:
        await _ScoreGeneration(state, self, scope, receive, send).serve()


class _ScoreGeneration(TranslatedGeneration):
    def _call(self, reading: Reading, session: bytes) -> Call:
        body = reading.body
        _RERANK.check(body)
        return Call(
            _RERANK, body, encode_object(body), body["model"], wants_stream=False, wants_usage=False, session=session
        )


@dataclass(slots=True)
class _ScoreWriter:
    model: str
    request_id: str

    def whole(self, completion: Json) -> bytes:
        results = sorted(completion["results"], key=lambda one: int(one["index"]))
        scores = [{"index": one["index"], "object": "score", "score": one["relevance_score"]} for one in results]
        head = {"id": f"score-{self.request_id}", "object": "list", "created": int(time.time()), "model": self.model}
        return orjson.dumps({**head, "data": scores, "usage": completion.get("usage")})

    def feed(self, chunk: Json) -> bytes:
        raise TypeError(f"scores are not streamed: {chunk!r}")

    def end(self) -> bytes:
        return b""


def _texts(document: Json, name: str) -> list[str]:
    value = document.get(name)
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(one, str) for one in texts):
        raise fault(name, "a text or an array of texts")
    return texts
