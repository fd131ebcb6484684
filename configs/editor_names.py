"""Names of models from which editors draw wrong conclusions: Continue and Roo Code guess by these patterns."""

import re
from collections.abc import Iterator

_CHAT_ONLY_PREFIX = re.compile(r"gpt|o")
_REASONING_INFIX = re.compile(r"o[134]")


def misread(name: str) -> Iterator[str]:
    """What goes wrong with a model of this name, in a sentence; nothing for a good name."""
    if _CHAT_ONLY_PREFIX.match(name):
        yield f"some editors offer no completion from a model whose name begins like OpenAI's: {name!r}"
    elif _REASONING_INFIX.search(name):
        yield f"some editors take a model with o1, o3 or o4 in its name for one of OpenAI's: {name!r}"
