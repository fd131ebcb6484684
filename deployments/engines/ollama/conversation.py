"""
One request to Ollama's OpenAI API and its answer, without Ollama's accent.

Each deviation stands in Ollama's own code: the fields that it reads in `openai/openai.go`, what it writes in
`middleware/openai.go`. Where versions differ, 0.5.7 and 0.33 were read.

Source:
    https://github.com/ollama/ollama
"""

import uuid

from deployments.engines.front.answers import name_thoughts, pack_vectors
from deployments.engines.front.dialect import JsonObject, RequestRefused

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"

_FORMATS = (None, "text", "json_object", "json_schema")
_FINISH_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter"})


class OllamaConversation:
    """
    Args:
        path: one of OpenAI's.
        body: the request as it came.
        model_source: the model's name in Ollama. Answers name the model as the request did.

    Raises:
        RequestRefused: Ollama would quietly do something else than what is asked for.
    """

    def __init__(self, path: str, body: JsonObject, model_source: str) -> None:
        self._model = body.get("model")
        # Ollama's own ids are one of 999.
        self._id = {CHAT: "chatcmpl-", COMPLETIONS: "cmpl-"}.get(path, "") + uuid.uuid4().hex
        self._is_generation = path in (CHAT, COMPLETIONS)
        self._request = {**body, "model": model_source}
        self._wants_usage = False
        self._created: int | None = None
        self._has_begun = False
        self._has_tool_calls = False
        if self._is_generation:
            self._wants_usage = _wants_usage(body)
            self._adapt_generation()
        if path == CHAT:
            self._adapt_chat()
        elif path == COMPLETIONS:
            self._request["prompt"] = _one_prompt(body.get("prompt"))

    @property
    def request(self) -> JsonObject:
        return self._request

    def answer(self, body: JsonObject) -> JsonObject:
        body["model"] = self._model
        name_thoughts(body)
        if self._request.get("encoding_format") == "base64":  # older versions pass over it
            pack_vectors(body)
        if self._is_generation:
            body["id"] = self._id
            for choice in _objects(body.get("choices")):
                has_tool_calls = bool(_object(choice.get("message")).get("tool_calls"))
                choice["finish_reason"] = _finish_reason(
                    choice.get("finish_reason") or "stop", has_tool_calls=has_tool_calls
                )
        return body

    def ending(self) -> JsonObject | None:
        return None

    def event(self, event: JsonObject) -> JsonObject | None:
        if self._created is None:
            self._created = event.get("created")
        event |= {"model": self._model, "id": self._id, "created": self._created}
        name_thoughts(event)
        choices = _objects(event.get("choices"))
        if not choices:
            return event if self._wants_usage else None
        event.pop("usage", None)  # of nothing but zeros, in streamed completions
        for choice in choices:
            self._adapt_choice(choice)
        return event

    def _adapt_generation(self) -> None:
        body = self._request
        for name in ("n", "best_of"):
            if (body.get(name) or 1) != 1:
                raise RequestRefused(f"Ollama gives one answer to a request: `{name}` must be 1.", param=name)
        if body.get("stream"):
            # Asked for always: it is counted, and left out of the answer where the client did not want it.
            body["stream_options"] = {"include_usage": True}

    def _adapt_chat(self) -> None:
        body = self._request
        kind = _object(body.get("response_format")).get("type")
        if kind not in _FORMATS:
            message = f"Ollama passes over a `response_format` of the type {kind}; it knows {', '.join(_FORMATS[1:])}."
            raise RequestRefused(message, param="response_format.type")
        limit = body.pop("max_completion_tokens", None)  # it knows the older name only, and would not end
        if limit is not None and body.get("max_tokens") is None:
            body["max_tokens"] = limit
        if body.get("tool_choice") == "none":  # it does not read it, and would call tools
            body.pop("tools", None)
        messages = body.get("messages")
        if isinstance(messages, list):
            body["messages"] = [_message(each) if isinstance(each, dict) else each for each in messages]

    def _adapt_choice(self, choice: JsonObject) -> None:
        delta = choice.get("delta")
        if isinstance(delta, dict):
            if self._has_begun:
                delta.pop("role", None)  # in older versions in every chunk
            else:
                delta.setdefault("role", "assistant")
            self._has_begun = True
            self._has_tool_calls = self._has_tool_calls or bool(delta.get("tool_calls"))
        reason = choice.get("finish_reason")
        if reason is not None:
            choice["finish_reason"] = _finish_reason(reason, has_tool_calls=self._has_tool_calls)


def _wants_usage(body: JsonObject) -> bool:
    return bool(_object(body.get("stream_options")).get("include_usage"))


def _finish_reason(reason: object, *, has_tool_calls: bool) -> str:
    """`load` and `unload` end answers to nothing; in older versions a stream that calls tools ends with `stop`."""
    known = reason if reason in _FINISH_REASONS else "stop"
    return "tool_calls" if known == "stop" and has_tool_calls else str(known)


def _one_prompt(prompt: object) -> str:
    """
    Raises:
        RequestRefused: it is none, or several, or made of tokens: Ollama reads one text.
    """
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise RequestRefused("Ollama takes one text as `prompt`: no list of several, and no tokens.", param="prompt")
    return prompt


def _message(message: JsonObject) -> JsonObject:
    """A message that Ollama would refuse, or lose a part of, though OpenAI takes it."""
    message = dict(message)
    if message.get("content") is None and not message.get("tool_calls"):
        message["content"] = ""
    if message.get("role") == "developer":  # most of its templates know no such role
        message["role"] = "system"
    if message.get("role") == "tool" and isinstance(message.get("content"), list):
        # Of a list of parts it makes messages without the id of the call that they answer.
        texts = [part.get("text") for part in _objects(message["content"]) if part.get("type") == "text"]
        message["content"] = "\n".join(text for text in texts if isinstance(text, str))
    if message.get("tool_calls"):
        message["tool_calls"] = [_tool_call(call) for call in _objects(message["tool_calls"])]
    thought = message.pop("reasoning_content", None)  # it reads it under the name that it writes
    if thought and not message.get("reasoning"):
        message["reasoning"] = thought
    return message


def _tool_call(call: JsonObject) -> JsonObject:
    """Arguments of a call without any are often an empty text, which is no JSON to Ollama."""
    function = _object(call.get("function"))
    arguments = function.get("arguments")
    if isinstance(arguments, str) and not arguments.strip():
        return {**call, "function": {**function, "arguments": "{}"}}
    return call


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[JsonObject]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
