"""How many tokens each of several inputs has: engines tell only the sum."""

from collections.abc import Sequence

import aiohttp

from router.replicas.questions import ask_replica
from router.replicas.registry import Replica

_SEPARATOR = -1
"""No token of any model. llama.cpp hands on what is a number already, and so says where each text's tokens end."""


def counting_question(texts: Sequence[object]) -> dict[str, object]:
    """
    Body for llama.cpp's `/tokenize` that asks for the tokens of all `texts` at once.

    Only the first text of a list gets the tokens that begin and end an input, so that is an empty one.
    """
    content: list[object] = [""]
    for text in texts:
        content += [_SEPARATOR, text]
    return {"content": content, "add_special": True, "parse_special": True}


def read_counts(document: object, num_texts: int) -> list[int] | None:
    """The tokens of each text as an input of its own; None where that is not what the answer says."""
    tokens = document.get("tokens") if isinstance(document, dict) else None
    if not isinstance(tokens, list):
        return None
    lengths = [0]
    for token in tokens:
        if token == _SEPARATOR:
            lengths.append(0)
        else:
            lengths[-1] += 1
    num_special, *counts = lengths
    return [num_special + count for count in counts] if len(counts) == num_texts else None


async def count_texts(texts: Sequence[object], replica: Replica, session: aiohttp.ClientSession) -> list[int] | None:
    """The tokens of each text, by the replica's own tokeniser; None when it does not say."""
    question = counting_question(texts)
    document = await ask_replica(replica, "/tokenize", question, session, "count the tokens of merged texts")
    return read_counts(document, len(texts))
