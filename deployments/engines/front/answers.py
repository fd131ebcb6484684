"""What clients of OpenAI's API look for in an answer and not every server that speaks it says so. In place, no I/O."""

import base64
import struct
from collections.abc import Iterator
from typing import Any

from deployments.engines.front.dialect import JsonObject


def name_thoughts(document: JsonObject) -> None:
    """A model's thoughts as `reasoning_content`: newer servers say `reasoning`, which half of the clients pass over."""
    for choice in objects(document.get("choices")):
        for said in objects([choice.get("message"), choice.get("delta")]):
            thought = said.pop("reasoning", None)
            if thought and not said.get("reasoning_content"):
                said["reasoning_content"] = thought


def pack_vectors(document: JsonObject) -> None:
    """
    Vectors in base64, of 32-bit floats from the lowest byte on, for who asked for that. Some servers pass over
    `encoding_format`, and OpenAI's library for JavaScript would read anything out of their lists of numbers.
    """
    for embedded in objects(document.get("data")):
        vector = embedded.get("embedding")
        if isinstance(vector, list):
            embedded["embedding"] = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def objects(values: Any) -> Iterator[JsonObject]:  # noqa: ANN401  a JSON value
    """Those of a list; none where it is no list."""
    yield from (value for value in values if isinstance(value, dict)) if isinstance(values, list) else ()
