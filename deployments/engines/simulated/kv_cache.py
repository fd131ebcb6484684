"""The simulated engine's prefix cache: blocks of prompt tokens, the least recently used dropped first."""

from collections import OrderedDict


class PrefixCache:
    def __init__(self, max_num_blocks: int) -> None:
        self._max_num_blocks = max_num_blocks
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def admit(self, keys: list[int]) -> int:
        """How many leading blocks were there; afterwards all are, as the most recently used ones."""
        blocks = self._blocks
        num_hits = 0
        for key in keys:
            if key not in blocks:
                break
            num_hits += 1
        # Last blocks first: of one prompt, the end is dropped before the beginning, which more prompts share.
        for key in reversed(keys):
            blocks[key] = None
            blocks.move_to_end(key)
        while len(blocks) > self._max_num_blocks:
            blocks.popitem(last=False)
        return num_hits
