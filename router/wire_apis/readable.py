"""What a model can read of a document that was not made for it: what a tool of an API's servers gave. Pure."""

from collections.abc import Iterator

_MAX_DEPTH = 8
"""No result that is known is nested half as deeply. What is deeper is left out."""
_UNREADABLE = frozenset({
    "type", "id", "status", "signature", "cache_control", "citations", "annotations", "container_id", "file_id",
    "file_type", "encrypted_content", "encrypted_stdout", "encrypted_index", "media_type",
})  # fmt: skip
"""Fields that say nothing to anybody but the server that made them."""
_BARE = frozenset({
    "text", "content", "title", "url", "source", "data", "stdout", "output", "outputs", "outcome", "logs", "results",
})  # fmt: skip
"""Fields that need no name before what they say."""


def readable(value: object) -> str:
    """Its texts and numbers, a line each, with their names where these say something. Bytes are left out."""
    return "\n".join(_lines(value, _MAX_DEPTH))


def _lines(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, bool | int | float):
        yield str(value)
    elif depth and isinstance(value, list):
        for item in value:
            yield from _lines(item, depth - 1)
    elif depth and isinstance(value, dict) and value.get("type") != "base64":
        for name, inner in value.items():
            if name not in _UNREADABLE:
                lines = _lines(inner, depth - 1)
                yield from lines if name in _BARE else (f"{name}: {line}" for line in lines)
