"""Reranking whose answer has both shapes that clients read: `results`, and `data`."""

import orjson

from router.generation import Generation
from router.http.answer import JSON_HEADERS, Answer
from router.http.asgi import Headers, Send, WriteChunk


class RerankGeneration(Generation):
    """One request, and its answer."""

    def _open_answer(self, send: Send, headers: Headers, write_chunk: WriteChunk | None) -> Answer:
        return _RerankAnswer(send, headers, self._state.loop, write_chunk)


class _RerankAnswer(Answer):
    def send_whole(self, status: int, body: bytes, headers: Headers = JSON_HEADERS) -> None:
        super().send_whole(status, with_both_shapes(body) if status == 200 else body, headers)


def with_both_shapes(body: bytes) -> bytes:
    """Continue reads `results` of the provider it calls vllm, and `data` of the one it calls openai."""
    document = orjson.loads(body)
    if not isinstance(document, dict):
        return body
    for name, other in (("results", "data"), ("data", "results")):
        if isinstance(document.get(name), list) and other not in document:
            return orjson.dumps({**document, other: document[name]})
    return body
