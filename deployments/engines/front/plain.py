"""A conversation with a server that speaks OpenAI's API, but knows the model by another name."""

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

    @property
    def request(self) -> JsonObject:
        return self._body

    def answer(self, body: JsonObject) -> JsonObject:
        return self._named(body)

    def event(self, event: JsonObject) -> JsonObject | None:
        return self._named(event)

    def ending(self) -> JsonObject | None:
        return None

    def _named(self, document: JsonObject) -> JsonObject:
        if "model" in document:
            document["model"] = self._model
        return document
