"""Whether an engine that did not begin is thought to stand still, and for how long. Pure: the time is given."""

from typing import Final

from cache.pauses import pause_s

FIRST_PAUSE_S: Final = 1.0
MAX_PAUSE_S: Final = 30.0
_NO_CHANCE: Final = 0.5
"""Pauses that do not vary: there is one a router, and its own moment begins it."""
_NUM_ANSWERS: Final = 2
"""Figures after which a server is known to answer: those that come first may have been taken before."""
_MIN_LEAD: Final = 2.0
_MIN_LEAD_S: Final = 0.1
"""What is less may be a step of the engine, or a busy machine."""


def is_clear_loss(waited_s: float, winner_took_s: float) -> bool:
    """
    Whether a replica that lost a race was behind by so much that it was no chance.

    Args:
        waited_s: how long it had been asked for when the other one began, in seconds.
        winner_took_s: how long the other one took to begin, in seconds.
    """
    return waited_s >= max(winner_took_s * _MIN_LEAD, winner_took_s + _MIN_LEAD_S)


class Suspicion:
    """
    Of one replica, as one router sees it.

    A suspect is passed over until `until`, which is loop time in seconds, where there are others. Then the next request
    tries it, and the others still pass it over for as long again. What it says of an answer ends all suspicion; each
    further reason for it makes the pause twice as long.

    That its server gives figures is a weaker sign: vLLM's does so while its engine's process stands still. So it is
    believed once, and again only if it had been silent, too.
    """

    __slots__ = ("_is_on_trial", "_is_tried", "_num_answers", "_num_pauses", "_since", "until")

    def __init__(self) -> None:
        self.until = 0.0
        self._since = 0.0
        self._num_pauses = 0
        self._num_answers = 0
        self._is_on_trial = self._is_tried = False

    @property
    def is_pending(self) -> bool:
        """There was a reason, and nothing has ended it since."""
        return self._is_on_trial

    def suspect(self, now: float) -> bool:
        """
        There is a reason. While it is passed over, those that went there before are no new one.

        Returns:
            Whether it is passed over from now on, or for longer.
        """
        if self.until > now and not self._is_tried:
            return False
        self._num_pauses += 1
        self._num_answers = 0
        self._since = now
        self._is_on_trial, self._is_tried = True, False
        self.until = now + self._pause_s()
        return True

    def asked(self, now: float) -> None:
        """A request goes to the replica."""
        if self._is_on_trial and self.until <= now:
            self._is_tried = True
            self.until = now + self._pause_s()

    def heard(self, at: float) -> None:
        """At that moment, in loop time, its engine said a part of an answer."""
        if at > self._since:
            self._num_pauses = 0
            self._let_go()

    def answered(self, *, was_silent: bool) -> None:
        """Its server gave new figures. `was_silent` says that there had been none for longer than they count."""
        if was_silent:
            self._num_pauses = 0
            self._let_go()
            return
        self._num_answers += 1
        if self._num_pauses == 1 and self._num_answers >= _NUM_ANSWERS:
            self._let_go()

    def _let_go(self) -> None:
        self.until = 0.0
        self._is_on_trial = self._is_tried = False

    def _pause_s(self) -> float:
        return pause_s(self._num_pauses - 1, FIRST_PAUSE_S, MAX_PAUSE_S, _NO_CHANCE)
