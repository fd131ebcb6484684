"""What a request for embeddings asks for, and whether that may be asked together with what others ask for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from configs.router import MergingPolicy

InputKind: TypeAlias = Literal["texts", "tokens"]

_FIELDS = frozenset({"model", "input", "encoding_format", "dimensions", "user"})
"""Of a request that may be merged. What an engine makes of others, cutting long texts off for one, is not known."""

_BYTES_PER_TOKEN = 4
"""Of a token that is given as a number: about what a token has in a text, so that one limit does for both."""


@dataclass(slots=True, frozen=True)
class Inputs:
    """All inputs of one request: `items` are texts, or lists of tokens."""

    kind: InputKind
    items: tuple[object, ...]
    num_bytes: int


def read_inputs(value: object) -> Inputs:
    """`value` is a request's `input`, found well-formed."""
    if isinstance(value, str):
        return _texts([value])
    assert isinstance(value, list)  # noqa: S101 - it was checked
    if isinstance(value[0], str):
        return _texts(value)
    items = tuple(value) if isinstance(value[0], list) else (value,)
    return Inputs("tokens", items, _BYTES_PER_TOKEN * sum(map(len, items)))


def _texts(texts: list[str]) -> Inputs:
    return Inputs("texts", tuple(texts), sum(len(text.encode(errors="surrogatepass")) for text in texts))


def mergeable_inputs(body: Mapping[str, object], policy: MergingPolicy) -> Inputs | None:
    """The inputs of a request that may be merged, as far as the request itself goes; else None."""
    if not policy.enabled or not _FIELDS.issuperset(body):
        return None
    inputs = read_inputs(body["input"])
    is_small = len(inputs.items) < policy.max_inputs and inputs.num_bytes <= policy.max_request_bytes
    return inputs if is_small and "" not in inputs.items else None
