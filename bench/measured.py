"""What was measured, and what follows from it. No effects here."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.scenarios import Scenario, Unit


@dataclass(slots=True)
class Marked:
    """What a client saw since it was asked the last time."""

    num_requests: int = 0
    """Answers that were complete and right."""

    num_tokens: int = 0
    """Tokens that arrived; for one-shot requests those of right answers."""

    errors: dict[str, int] = field(default_factory=dict)
    """Failed requests by reason."""

    ttft_ms: list[float] = field(default_factory=list)
    """From the request's last byte out to its first token in; for one-shot requests to the end of the answer."""


@dataclass(frozen=True, slots=True)
class Window:
    seconds: float
    marked: Marked
    cpu_s: dict[str, float]
    """CPU seconds by group of processes, nothing subtracted."""
    idle_ratio: dict[str, float]
    """CPU seconds a second of each group without any load, before."""


@dataclass(slots=True)
class Measured:
    """A scenario's windows against one contender, of all rounds."""

    contender: str
    scenario: Scenario
    windows: list[Window] = field(default_factory=list)

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(self.windows[0].cpu_s)

    def raw_us(self, group: str) -> list[float]:
        """CPU microseconds per unit of work, a value a window."""
        return [1e6 * window.cpu_s[group] / self._num_units(window) for window in self.windows]

    def net_us(self, group: str) -> list[float]:
        """As `raw_us`, less what the group uses when idle."""
        return [
            1e6 * (window.cpu_s[group] - window.idle_ratio[group] * window.seconds) / self._num_units(window)
            for window in self.windows
        ]

    def idle_ratio(self, group: str) -> float:
        return statistics.median(window.idle_ratio[group] for window in self.windows)

    def _num_units(self, window: Window) -> float:
        is_per_request = self.scenario.unit is Unit.REQUEST
        return (window.marked.num_requests if is_per_request else window.marked.num_tokens) or math.nan

    @property
    def units_per_s(self) -> float:
        return statistics.median(self._num_units(window) / window.seconds for window in self.windows)

    @property
    def load_ratio(self) -> float:
        """Units that came, of those that would have come with nothing in the way.

        Well under 1 the contender could not keep up, and its TTFT is that of an overloaded server.
        """
        return self.units_per_s / self.scenario.max_units_per_s

    def ttft_ms(self, ratio: float) -> float:
        """A quantile over all windows; `ratio` is 0.5 for the median."""
        return quantile([value for window in self.windows for value in window.marked.ttft_ms], ratio)

    @property
    def errors(self) -> dict[str, int]:
        total: dict[str, int] = {}
        for window in self.windows:
            for reason, count in window.marked.errors.items():
                total[reason] = total.get(reason, 0) + count
        return total


def quantile(values: Iterable[float], ratio: float) -> float:
    """The smallest value that at least `ratio` of all values do not exceed; NaN of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(ratio * len(ordered)) - 1)] if ordered else math.nan
