"""Stop sequences of which one part was said before an engine was lost, and the other comes after it. Pure."""

from collections.abc import Iterable


def stops_of(stop: object) -> tuple[str, ...]:
    """Those of a request's field `stop`."""
    stops = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    return tuple(each for each in stops if isinstance(each, str) and each)


class Seam:
    """Looks for stop sequences that begin before the seam and end behind it: no engine sees these."""

    def __init__(self, before: str, stops: Iterable[str], *, keeps_stop: bool = False) -> None:
        """`keeps_stop` says that the stop sequence at which an answer ends belongs to it."""
        self._open = [
            stop[length:] for stop in stops for length in range(1, len(stop)) if before.endswith(stop[:length])
        ]
        """What would complete a stop sequence that has begun."""
        self._behind = ""
        self._keeps_stop = keeps_stop
        self.last = ""
        """What of the stop sequence that is complete is still to be passed on."""

    @property
    def is_closed(self) -> bool:
        """Nothing that comes can complete one any more."""
        return not self._open

    def pass_on(self, text: str) -> str | None:
        """
        What of the text so far, that was not passed on before, is surely no part of a stop sequence.

        None when one is complete: the answer has ended at the seam.
        """
        self._behind += text
        complete = [ending for ending in self._open if self._behind.startswith(ending)]
        if complete:
            self.last = min(complete, key=len) if self._keeps_stop else ""
            return None
        self._open = [ending for ending in self._open if ending.startswith(self._behind)]
        if self._open:
            return ""
        passed, self._behind = self._behind, ""
        return passed

    def rest(self) -> str:
        """What was held back, once nothing follows it."""
        self._open, behind, self._behind = [], self._behind, ""
        return behind
