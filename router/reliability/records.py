"""What one router remembers of a model's last requests, to decide on the next ones."""

from collections import defaultdict, deque
from typing import Final

from configs.reliability import HedgingPolicy
from router.reliability.budget import RetryBudget

_MAX_FIRST_TOKENS: Final = 256
_MIN_FIRST_TOKENS: Final = 20
"""Streams below which nobody can say what 95 in 100 of them take."""
_SMALL_BYTES: Final = 4000
"""Requests below this are of one size: reading so little takes no longer than a step of the engine."""


class ModelRecord:
    """
    Of one model. `budget` is its retry budget.

    First tokens are kept by the size of the request, in classes of which each is four times as large as the one before:
    a long prompt takes its time with any replica, and a second one would read all of it for nothing.
    """

    def __init__(self) -> None:
        self.budget = RetryBudget()
        self._first_tokens_s: defaultdict[int, deque[float]] = defaultdict(lambda: deque(maxlen=_MAX_FIRST_TOKENS))

    def note_first_token(self, num_bytes: int, after_s: float) -> None:
        """The stream that answers a request of that size has begun, so long after its replica was asked."""
        self._first_tokens_s[_size_class(num_bytes)].append(after_s)

    def slow_s(self, num_bytes: int) -> float | None:
        """
        After how long 95 in 100 of the last streams for requests of about that size have begun, in seconds.

        None while there are too few.
        """
        known = self._first_tokens_s.get(_size_class(num_bytes), ())
        if len(known) < _MIN_FIRST_TOKENS:
            return None
        return sorted(known)[len(known) * 95 // 100]

    def hedge_after_s(self, num_bytes: int, policy: HedgingPolicy) -> float | None:
        """After how long a stream for a request of that size is asked of a second replica, in seconds; None: never."""
        if policy.delay_ms is not None:
            return policy.delay_ms / 1000
        slow_s = self.slow_s(num_bytes)
        return None if slow_s is None else max(slow_s * policy.delay_factor, policy.min_delay_ms / 1000)


def _size_class(num_bytes: int) -> int:
    return ((num_bytes // _SMALL_BYTES).bit_length() + 1) // 2
