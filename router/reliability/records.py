"""What one router remembers of a model's last requests, to decide on the next ones."""

from collections import deque
from typing import Final

from router.reliability.budget import RetryBudget

_MAX_FIRST_TOKENS: Final = 256
_MIN_FIRST_TOKENS: Final = 20
"""Streams below which nobody can say what 95 in 100 of them take."""


class ModelRecord:
    """Of one model. `budget` is its retry budget."""

    def __init__(self) -> None:
        self.budget = RetryBudget()
        self._first_tokens_s: deque[float] = deque(maxlen=_MAX_FIRST_TOKENS)

    def note_first_token(self, after_s: float) -> None:
        """A stream has begun, so long after its replica was asked."""
        self._first_tokens_s.append(after_s)

    def slow_s(self) -> float | None:
        """After how long 95 in 100 of the last streams have begun, in seconds; None while there are too few."""
        if len(self._first_tokens_s) < _MIN_FIRST_TOKENS:
            return None
        return sorted(self._first_tokens_s)[len(self._first_tokens_s) * 95 // 100]
