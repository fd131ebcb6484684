"""
How long clients wait for their first token, for whoever decides how many replicas there are.

From a request's arrival at the router to the first token, so whatever it waits for is in it: its turn, its prompt. Only
streams of interactive requests are looked at; the others wait because they may. Those that came while there was no
replica are left out: how long a model takes to wake is no reason to have two of it.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

WINDOW_S: Final = 10.0
"""How far back is looked, in seconds: as long as a replica of a small model takes to start."""
SHARE: Final = 0.9
"""Of the streams, so many began within the time that is told."""
_MAX_STREAMS: Final = 1024


@dataclass(slots=True, frozen=True)
class FirstTokens:
    """Streams that have begun lately, and in what time nine of ten of them, in seconds."""

    num_streams: int
    ttft_s: float


class FirstTokenTimes:
    """By application. Noted on one event loop; `lately` may be called from other threads."""

    def __init__(self) -> None:
        self._times: dict[str, deque[tuple[float, float]]] = {}
        self._since: dict[str, float] = {}

    def begin_anew(self, application: str, now: float) -> None:
        """
        There is a replica more, which those that came before did not have: else they would ask for the next one.

        `now` is loop time, in seconds.
        """
        self._since[application] = now
        self._times.pop(application, None)

    def note(self, application: str, now: float, ttft_s: float) -> None:
        """A stream has begun. `now` is loop time, in seconds."""
        if now - ttft_s < self._since.get(application, -math.inf):
            return
        times = self._times.get(application)
        if times is None:
            times = self._times[application] = deque(maxlen=_MAX_STREAMS)
        times.append((now, ttft_s))

    def lately(self, now: float) -> dict[str, FirstTokens]:
        """Of the applications whose streams have begun within the last WINDOW_S."""
        found = {}
        for application, times in list(self._times.items()):
            recent = sorted(ttft_s for at, ttft_s in list(times) if now - at <= WINDOW_S)
            if recent:
                found[application] = FirstTokens(len(recent), recent[int((len(recent) - 1) * SHARE)])
        return found


def together(words: Iterable[FirstTokens]) -> FirstTokens | None:
    """Of several routers, each weighed by its streams; None where there are none."""
    all_words = list(words)
    num_streams = sum(word.num_streams for word in all_words)
    if not num_streams:
        return None
    return FirstTokens(num_streams, sum(word.ttft_s * word.num_streams for word in all_words) / num_streams)
