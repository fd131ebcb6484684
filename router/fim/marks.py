"""Whether a request is to fill in the middle, whoever has made its prompt. Pure."""

from collections.abc import Mapping
from typing import Final

_MARKS: Final = ("<|fim_", "<fim_", "<fim-", "<\uff5cfim\u2581")
"""How marks begin that are nothing else: Qwen's, Granite's and CodeGemma's, StarCoder's, SantaCoder's, DeepSeek's."""
_PAIRS: Final = (("<PRE>", "<SUF>"), ("[PREFIX]", "[SUFFIX]"))
"""CodeLlama's and Codestral's, of which one alone may be anything: `<PRE>` is HTML."""


def has_marks(prompt: object) -> bool:
    """Whether a client has made this prompt with a model's own marks, as Continue does."""
    if not isinstance(prompt, str):
        return False
    return any(mark in prompt for mark in _MARKS) or any(one in prompt and other in prompt for one, other in _PAIRS)


def fills_in(body: Mapping[str, object]) -> bool:
    """Whether the body of a text completion asks for what is between two texts."""
    return isinstance(body.get("suffix"), str) or has_marks(body.get("prompt"))
