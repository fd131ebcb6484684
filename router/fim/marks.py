"""Whether a request is to fill in the middle, whoever has made its prompt. Pure."""

from collections.abc import Mapping
from typing import Final

_EDGE_CHARS: Final = 128
"""How much is looked at of either end of a prompt, in characters: it begins with a mark, or its last word is one. To
look for marks in all of 20 KB takes 110 µs."""
_MARKS: Final = ("<|fim_", "<fim_", "<fim-", "<\uff5cfim\u2581")
"""How marks begin that are nothing else: Qwen's, Granite's and CodeGemma's, StarCoder's, SantaCoder's, DeepSeek's."""
_CODE_LLAMA: Final = ("<PRE>", "<MID>")
"""The first of them alone may be anything: it is HTML."""
_CODESTRAL: Final = ("[SUFFIX]", "<s>[SUFFIX]")


def has_marks(prompt: object) -> bool:
    """Whether a client has made this prompt with a model's own marks, as Continue does."""
    if not isinstance(prompt, str):
        return False
    edges = prompt if len(prompt) <= 2 * _EDGE_CHARS else prompt[:_EDGE_CHARS] + prompt[-_EDGE_CHARS:]
    if any(mark in edges for mark in _MARKS) or prompt.startswith(_CODESTRAL):
        return True
    return all(mark in edges for mark in _CODE_LLAMA)


def fills_in(body: Mapping[str, object]) -> bool:
    """Whether the body of a text completion asks for what is between two texts."""
    return isinstance(body.get("suffix"), str) or has_marks(body.get("prompt"))
