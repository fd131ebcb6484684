"""`max_tokens` that fits: editors cannot know a model's context, so what is too much becomes what is left."""

from collections.abc import Mapping
from enum import Enum, auto

from router.errors import ContextLengthExceeded

LIMIT_FIELDS = ("max_completion_tokens", "max_tokens")

MAX_TEMPLATE_TOKENS = 512
"""Tokens of a system prompt and of tool instructions that a chat template brings along by itself. Qwen's tool
preamble, the longest seen, has about 200."""


def prompt_too_long(num_tokens: str, max_prompt_tokens: int, param: str) -> ContextLengthExceeded:
    """The error for a prompt that is longer than its model takes here, whatever the engine would."""
    return ContextLengthExceeded(
        f"The prompt has {num_tokens} tokens, and this model takes {max_prompt_tokens} here.", param=param
    )


class Clamp(Enum):
    """What has to happen to a request's limit before an engine accepts it."""

    NOTHING = auto()
    DROP = auto()
    """Without a limit the engine generates to the end of its context, which is what is left."""
    COUNT = auto()
    """Whether it fits depends on the prompt's number of tokens, which only the engine knows."""


def decide_clamp(
    body: Mapping[str, object], num_body_bytes: int, max_model_len: int, *, engine_fills_context: bool
) -> Clamp:
    """
    Whether a limit has to be lowered, without counting tokens unless that decides it.

    A prompt has at most as many tokens as its JSON has bytes, tokenizers with byte fallback never making two tokens
    of one byte, and what a chat template adds: less for a message than the message's JSON punctuation, and
    MAX_TEMPLATE_TOKENS for the whole.

    Args:
        body: the request.
        num_body_bytes: its size as JSON.
        max_model_len: the engine's context, in tokens, prompt and completion together.
        engine_fills_context: the engine takes a missing limit for "to the end of the context". True of chat in
            vLLM; its text completions stop after 16 tokens instead.
    """
    limit = requested_limit(body)
    if limit is None or limit + num_body_bytes + MAX_TEMPLATE_TOKENS <= max_model_len:
        return Clamp.NOTHING
    return Clamp.DROP if limit >= max_model_len and engine_fills_context else Clamp.COUNT


def requested_limit(body: Mapping[str, object]) -> int | None:
    """The number of completion tokens that the request asks for at most, or None."""
    for name in LIMIT_FIELDS:
        value = body.get(name)
        if isinstance(value, int):
            return value
    return None


def without_limit(body: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if name not in LIMIT_FIELDS}


def with_limit(body: Mapping[str, object], num_prompt_tokens: int, max_model_len: int) -> dict[str, object]:
    """
    The request with its limit lowered to what the prompt leaves of the context.

    Raises:
        ContextLengthExceeded: the prompt leaves nothing.
    """
    left = max_model_len - num_prompt_tokens
    if left < 1:
        raise ContextLengthExceeded(
            f"The prompt has {num_prompt_tokens} tokens and this model's maximum context length is "
            f"{max_model_len} tokens, which leaves none for an answer.",
            param="messages" if "messages" in body else "prompt",
        )
    return {
        name: min(value, left) if name in LIMIT_FIELDS and isinstance(value, int) else value
        for name, value in body.items()
    }
