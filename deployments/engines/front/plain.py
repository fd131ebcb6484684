"""A conversation with a server that speaks OpenAI's API, but knows the model by another name."""

from deployments.engines.front.answers import name_thoughts, objects, pack_vectors
from deployments.engines.front.dialect import JsonObject


class PlainConversation:
    """
    Args:
        body: the request as it came.
        model_source: the model's name at the server. Answers name the model as the request did.
    """

    def __init__(self, body: JsonObject, model_source: str) -> None:
        self._model = body.get("model")
        self._body = {**body, "model": model_source}
        self._wants_base64 = body.get("encoding_format") == "base64"
        self._open: dict[object, JsonObject] = {}
        """Of a stream's choices that have begun and not ended: the last chunk of each that there would be."""
        self._head: JsonObject = {}
        self._usage: JsonObject | None = None

    @property
    def request(self) -> JsonObject:
        return self._body

    def answer(self, body: JsonObject) -> JsonObject:
        for choice in objects(body.get("choices")):
            if not choice.get("finish_reason"):
                choice["finish_reason"] = _reason((choice.get("message") or {}).get("tool_calls"))
        if self._wants_base64:
            pack_vectors(body)
        name_thoughts(body)
        return self._named(body)

    def event(self, event: JsonObject) -> JsonObject | None:
        name_thoughts(event)
        event = self._named(event)
        if not event.get("choices"):
            if not self._open:
                return event
            self._usage = event  # the usage, which comes last
            return self._last_chunk()
        self._head = {name: value for name, value in event.items() if name not in ("choices", "usage")}
        for choice in objects(event["choices"]):
            self._note(choice)
        return event

    def ending(self) -> JsonObject | None:
        return self._last_chunk() if self._open else self._usage

    def _note(self, choice: JsonObject) -> None:
        index = choice.get("index", 0)
        if choice.get("finish_reason"):
            self._open.pop(index, None)
            return
        before = self._open.get(index) or {}
        said = choice.get("delta")
        calls = said.get("tool_calls") if isinstance(said, dict) else None
        reason = before.get("finish_reason") if before.get("finish_reason") == "tool_calls" else _reason(calls)
        nothing: JsonObject = {"text": ""} if "text" in choice else {"delta": {}}
        self._open[index] = {"index": index, **nothing, "finish_reason": reason}

    def _last_chunk(self) -> JsonObject:
        """Why it ended, for a server that does not say: without a reason tools are not called, and clients crash."""
        choices, self._open = list(self._open.values()), {}
        return {**self._head, "choices": choices}

    def _named(self, document: JsonObject) -> JsonObject:
        if "model" in document:
            document["model"] = self._model
        return document


def _reason(calls: object) -> str:
    return "tool_calls" if calls else "stop"
