"""The answer to a merged call, taken apart: each request gets what it would have got alone."""

import re
from collections.abc import Sequence

import orjson

_VECTOR = re.compile(rb'"embedding"\s*:\s*(\[[^\]]*\]|"[^"]*")')
"""A vector and its name. Within a text of JSON its quotes would be escaped, so it is found nowhere else."""


class NotSplittable(Exception):
    """The answer is not what an answer to so many inputs looks like; the message says in what way."""


class MergedAnswer:
    """The engine's answer to `num_inputs` inputs. The vectors stay the bytes that the engine wrote."""

    def __init__(self, body: bytes, num_inputs: int) -> None:
        """
        Raises:
            NotSplittable: it has not one vector for each input, or does not count its tokens.
        """
        self._vectors = _VECTOR.findall(body)
        numbers = iter(range(len(self._vectors)))
        document = orjson.loads(_VECTOR.sub(lambda _: b'"embedding":%d' % next(numbers), body))
        entries = document.get("data") if isinstance(document, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise NotSplittable("it has no list of vectors")
        for name, what in (("index", "indices"), ("embedding", "vectors")):
            numbered = [entry.get(name) for entry in entries]
            if len(numbered) != num_inputs or not all(number in numbered for number in range(num_inputs)):
                raise NotSplittable(f"its {len(numbered)} {what} are not one for each of {num_inputs} inputs")
        usage = document.get("usage")
        if not isinstance(usage, dict) or not isinstance(usage.get("prompt_tokens"), int):
            raise NotSplittable("it does not count its tokens")
        self._document = document
        self._entries = sorted(entries, key=lambda entry: int(entry["index"]))
        self.num_tokens: int = usage["prompt_tokens"]

    def part(self, first: int, counts: Sequence[int]) -> bytes:
        """The answer to the inputs from `first` on, whose tokens are `counts`."""
        entries = [{**entry, "index": index} for index, entry in enumerate(self._entries[first : first + len(counts)])]
        total = sum(counts)
        usage = {**self._document["usage"], "prompt_tokens": total, "total_tokens": total}
        written = orjson.dumps({**self._document, "data": entries, "usage": usage})
        return _PLACE.sub(lambda place: b'"embedding":' + self._vectors[int(place[1])], written)


_PLACE = re.compile(rb'"embedding":(\d+)')
