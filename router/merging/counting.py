"""How many tokens each of several inputs has: engines tell only the sum."""

import logging
from collections.abc import Sequence

import aiohttp
import orjson

from router.bodies import encode_object
from router.replicas import Replica

logger = logging.getLogger("enginehouse.router")

_TIMEOUT_S = 5.0
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
    try:
        async with session.post(
            f"http://{replica.host}:{replica.port}/tokenize",
            data=encode_object(counting_question(texts)),
            headers={"authorization": f"Bearer {replica.secret}", "content-type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
        ) as response:
            document = orjson.loads(await response.read()) if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
        logger.warning("replica %s did not count the tokens of merged texts: %s", replica.replica_id, error)
        return None
    return read_counts(document, len(texts))
