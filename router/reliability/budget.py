"""How many more attempts than requests a model may have. Pure: the time is given."""

from collections import deque
from dataclasses import dataclass

from configs.reliability import RetryPolicy


@dataclass(slots=True)
class _Second:
    """What was counted within one second of loop time."""

    number: int
    num_requests: int = 0
    num_retries: int = 0


class RetryBudget:
    """Of one model, in one router."""

    def __init__(self) -> None:
        self._seconds: deque[_Second] = deque()

    def note_request(self, now: float, policy: RetryPolicy) -> None:
        """A request has come. `now` is loop time, in seconds."""
        self._second(now, policy).num_requests += 1

    def take(self, now: float, policy: RetryPolicy) -> bool:
        """Whether there may be one more retry. If so, it is counted."""
        if self.is_spent(now, policy):
            return False
        self._seconds[-1].num_retries += 1
        return True

    def is_spent(self, now: float, policy: RetryPolicy) -> bool:
        self._second(now, policy)
        num_requests = sum(one.num_requests for one in self._seconds)
        num_retries = sum(one.num_retries for one in self._seconds)
        return num_retries >= policy.max_ratio * num_requests + policy.min_retries

    def _second(self, now: float, policy: RetryPolicy) -> _Second:
        number = int(now)
        seconds = self._seconds
        if not seconds or seconds[-1].number != number:
            seconds.append(_Second(number))
            while seconds[0].number <= number - policy.window_s:
                seconds.popleft()
        return seconds[-1]
