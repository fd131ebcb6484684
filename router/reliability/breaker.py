"""When a replica is passed over, and when it is tried again. Pure: the time and the chance are given."""

from cache.pauses import pause_s
from configs.reliability import BreakerPolicy


class Breaker:
    """
    Of one replica, as one router sees it.

    Closed: it is asked. Open: it is passed over until `blocked_until`, which is loop time in seconds. Half-open: that
    has passed, and the next request is its probe: while it runs, the replica is passed over again. What succeeds closes
    it, and what fails opens it for longer.
    """

    __slots__ = ("_is_probed", "_num_failures", "_num_openings", "blocked_until")

    def __init__(self) -> None:
        self.blocked_until = 0.0
        self._num_failures = 0
        self._num_openings = 0
        self._is_probed = False

    @property
    def is_closed(self) -> bool:
        """Open or half-open, it was lost or failed, and nothing has succeeded there since."""
        return not self._num_openings

    def asked(self, now: float, policy: BreakerPolicy) -> None:
        """A request goes to the replica."""
        if self._num_openings and self.blocked_until <= now:
            self._is_probed = True
            self.blocked_until = now + policy.max_pause_ms / 1000

    def left(self, now: float) -> None:
        """Nothing is known of a request, since its client left, or it was never sent: the next one is the probe."""
        if self._is_probed:
            self._is_probed = False
            self.blocked_until = now

    def succeeded(self) -> None:
        """It has begun to answer a request, or said what is wrong with one."""
        self.blocked_until = 0.0
        self._num_failures = self._num_openings = 0
        self._is_probed = False

    def failed(self, now: float, policy: BreakerPolicy, chance: float, *, is_lost: bool) -> bool:
        """
        A request was in vain.

        Failures while it is open are those of requests that were there before, and say nothing new.

        Args:
            now: loop time, in seconds.
            policy: that of the request's model.
            chance: 0 to 1, evenly distributed.
            is_lost: whether the replica could not be reached, or its connection broke.

        Returns:
            Whether it is passed over from now on.
        """
        if self.blocked_until > now and not self._is_probed:
            return False
        self._num_failures += 1
        if is_lost or self._is_probed or self._num_failures >= policy.max_failures:
            first_s, max_s = policy.first_pause_ms / 1000, policy.max_pause_ms / 1000
            self.blocked_until = now + pause_s(self._num_openings, first_s, max_s, chance)
            self._num_openings += 1
            self._num_failures = 0
            self._is_probed = False
            return True
        return False
