"""How long to leave something alone that has failed. Pure."""

from typing import Final

_JITTER: Final = 0.5
"""Share of a pause that is left to chance, up and down: those who failed together should not come back as one."""

_MAX_DOUBLINGS: Final = 32


def pause_s(num_before: int, first_s: float, max_s: float, chance: float) -> float:
    """
    The next pause, in seconds: each is twice as long as the one before it, up to `max_s`, and then varied by chance.

    Args:
        num_before: pauses since all was well.
        first_s: the first one, in seconds.
        max_s: the longest, in seconds, before chance makes it up to half as long again.
        chance: 0 to 1, evenly distributed.
    """
    longest = min(first_s * (1 << min(num_before, _MAX_DOUBLINGS)), max_s)
    return longest * (1 - _JITTER + 2 * _JITTER * chance)
