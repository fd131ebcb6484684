"""A text completion with `trtllm-serve`."""

from deployments.engines.front.dialect import JsonObject
from deployments.engines.tensorrt_llm.answers import Identity, added_usage, tidy
from deployments.engines.tensorrt_llm.requests import COMPLETION_FIELDS, sanitised


class CompletionConversation:
    """
    Raises:
        RequestRefused: the request asks for something that the server cannot do.
    """

    def __init__(self, body: JsonObject) -> None:
        self._request = sanitised(body, COMPLETION_FIELDS)
        self._request.setdefault("max_tokens", 16)  # OpenAI's default; the server's own is the whole context
        self._identity = Identity("cmpl", "text_completion", body.get("model"))
        self._usage: JsonObject | None = None

    @property
    def request(self) -> JsonObject:
        return self._request

    def answer(self, body: JsonObject) -> JsonObject:
        self._identity.put_on(body)
        tidy(body)
        return body

    def event(self, event: JsonObject) -> JsonObject | None:
        if not event.get("choices"):  # one for each prompt, somewhere in the stream: `ending` tells their sum
            self._usage = added_usage(self._usage, event.get("usage") or {})
            return None
        self._identity.put_on(event)
        event.pop("usage", None)
        tidy(event)
        return event

    def ending(self) -> JsonObject | None:
        if self._usage is None:
            return None
        event: JsonObject = {"choices": [], "usage": self._usage}
        self._identity.put_on(event)
        return event
