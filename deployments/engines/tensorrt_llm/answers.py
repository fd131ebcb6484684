"""What `trtllm-serve` answers, in OpenAI's form."""

import secrets
import time
from typing import Any

from deployments.engines.front.dialect import JsonObject

_CHOICE_EXTRAS = (
    *("mm_embedding_handle", "disaggregated_params", "avg_decoded_tokens_per_iter", "context_logits", "token_ids"),
)
_EXTRAS = ("prompt_token_ids",)


class Identity:
    """
    One id and one time of creation for a whole answer: the server gives each chunk of a stream its own.

    Args:
        prefix: `chatcmpl` or `cmpl`.
        kind: the `object` of each chunk; of a text completion's usage the server says another's.
        model: the name that the client asked for; the server repeats whatever it was told.
    """

    def __init__(self, prefix: str, kind: str, model: object) -> None:
        self._fields = {
            "id": f"{prefix}-{secrets.token_hex(16)}",
            "object": kind,
            "created": int(time.time()),
            "model": model,
        }

    def put_on(self, document: JsonObject) -> None:
        document.update(self._fields)


def tidy(document: JsonObject) -> list[JsonObject]:
    """Removes what only TensorRT-LLM knows of, in place. Returns the choices."""
    for name in _EXTRAS:
        document.pop(name, None)
    choices: list[JsonObject] = document.get("choices") or []
    for choice in choices:
        for name in _CHOICE_EXTRAS:
            choice.pop(name, None)
    return choices


def tidy_message(message: JsonObject) -> None:
    """A message or a delta, in place: reasoning that was not there is left out, and so is an empty list of calls."""
    for name in ("reasoning_content", "reasoning"):
        if not message.get(name):
            message.pop(name, None)
    if not message.get("tool_calls"):
        message.pop("tool_calls", None)
    elif not message.get("content"):
        message["content"] = None


def added_usage(first: Any, second: JsonObject) -> JsonObject:  # noqa: ANN401  a usage or None
    """The usage of two prompts of one request, which the server tells apart and OpenAI as one."""
    if not isinstance(first, dict):
        return second
    total = {name: first.get(name, 0) + second.get(name, 0) for name in ("prompt_tokens", "completion_tokens")}
    cached = [(each.get("prompt_tokens_details") or {}).get("cached_tokens", 0) for each in (first, second)]
    return {
        **total,
        "total_tokens": sum(total.values()),
        "prompt_tokens_details": {"cached_tokens": sum(cached)},
    }
