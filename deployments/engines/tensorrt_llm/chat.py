"""A chat with `trtllm-serve`."""

from typing import Any

from deployments.engines.front.dialect import JsonObject, RequestRefused
from deployments.engines.tensorrt_llm.answers import Identity, tidy, tidy_message
from deployments.engines.tensorrt_llm.forced_call import ForcedCall, is_forced
from deployments.engines.tensorrt_llm.requests import sanitised_chat


class ChatConversation:
    """
    Raises:
        RequestRefused: the request asks for something that the server cannot do.
    """

    def __init__(self, body: JsonObject, *, has_tools: bool) -> None:
        request = sanitised_chat(body)
        self._forced = ForcedCall(request) if is_forced(request) else None
        if self._forced is not None:
            request = self._forced.request
        elif _offers_tools(request) and not has_tools:
            raise RequestRefused(
                "This model's engine, TensorRT-LLM, was started without a tool_call_parser: it cannot read tool calls.",
                param="tools",
            )
        self._request = request
        self._identity = Identity("chatcmpl", "chat.completion", body.get("model"))
        self._stream_identity = Identity("chatcmpl", "chat.completion.chunk", body.get("model"))
        self._has_role: set[int] = set()
        self._has_called: set[int] = set()

    @property
    def request(self) -> JsonObject:
        return self._request

    def answer(self, body: JsonObject) -> JsonObject:
        self._identity.put_on(body)
        for choice in tidy(body):
            message = choice.get("message") or {}
            if self._forced is not None:
                self._forced.put_call(choice)
            tidy_message(message)
            if message.get("tool_calls"):
                _name_finish(choice)
        return body

    def event(self, event: JsonObject) -> JsonObject | None:
        self._stream_identity.put_on(event)
        choices = tidy(event)
        if not choices:
            return event if event.get("usage") else None
        event.pop("usage", None)  # it is told at the end, when it was asked for
        event["choices"] = kept = [choice for choice in choices if self._passes(choice)]
        return event if kept else None

    def ending(self) -> JsonObject | None:
        return None

    def _passes(self, choice: JsonObject) -> bool:
        """Mends one choice of a chunk. Whether anything is left of it."""
        index: int = choice.get("index", 0)
        delta: dict[str, Any] = choice.setdefault("delta", {})
        if self._forced is not None:
            self._forced.feed(choice)
        tidy_message(delta)
        if delta.get("content") is None or (delta.get("content") == "" and len(delta) > 1):
            delta.pop("content", None)
        if delta.get("tool_calls"):
            self._has_called.add(index)
        choice.setdefault("finish_reason", None)
        if index in self._has_called:
            _name_finish(choice)
        if "role" in delta and index in self._has_role:
            delta.pop("role")
        self._has_role.add(index)
        return bool(delta) or choice["finish_reason"] is not None or choice.get("logprobs") is not None


def _offers_tools(request: JsonObject) -> bool:
    return bool(request.get("tools")) and request.get("tool_choice") != "none"


def _name_finish(choice: JsonObject) -> None:
    """An answer that ends with a call ends for it, not because the model had nothing more to say."""
    if choice.get("finish_reason") == "stop":
        choice["finish_reason"] = "tool_calls"
