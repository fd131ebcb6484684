"""How the sides of a canary or a shadow do: counts that can be added up over routers and moments."""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from math import floor, log
from typing import Any, Literal, TypeAlias

Side: TypeAlias = Literal["stable", "canary", "client", "shadow"]
"""Of a canary: the other backends' attempts, and its own. Of a shadow: what clients got, and the copies'."""

WINDOW_S = 600.0
"""What counts as recent, in seconds."""
_SLOT_S = 60.0

_SHORTEST_S = 1e-4
_STEP = 1.15
"""How much longer each class of durations is than the one before."""


@dataclass(slots=True)
class Durations:
    """A histogram over classes that grow by 15 %, so quantiles are right to within that. In seconds."""

    classes: Counter[int] = field(default_factory=Counter)

    def add(self, duration_s: float) -> None:
        self.classes[floor(log(max(duration_s, _SHORTEST_S) / _SHORTEST_S, _STEP))] += 1

    @property
    def num(self) -> int:
        return self.classes.total()

    def quantile(self, ratio: float) -> float | None:
        """The middle of the class that it falls into, in seconds; None where there is nothing."""
        left = ratio * self.num
        for number in sorted(self.classes):
            left -= self.classes[number]
            if left <= 0:
                return float(_SHORTEST_S * _STEP ** (number + 0.5))
        return None


@dataclass(slots=True)
class Tally:
    """
    One side's figures. `counts` is by outcome: `ok`, `refused` by the engine for the client's fault, `left` by the
    client, or the code of an error; for copied requests also `equal`, `different`, `dropped` and `uncompared`, and
    each difference by its kind.
    """

    counts: Counter[str] = field(default_factory=Counter)
    ttft_s: Durations = field(default_factory=Durations)
    tpot_s: Durations = field(default_factory=Durations)

    @property
    def num_ok(self) -> int:
        return self.counts["ok"]

    @property
    def num_failed(self) -> int:
        return sum(number for name, number in self.counts.items() if name.startswith(FAILED))

    @property
    def num_answered(self) -> int:
        """Requests of which can be said whether they went well."""
        return self.num_ok + self.num_failed

    @property
    def error_ratio(self) -> float:
        """0 to 1; 0 where nothing was answered."""
        return self.num_failed / self.num_answered if self.num_answered else 0.0

    def add(self, other: "Tally") -> None:
        self.counts.update(other.counts)
        self.ttft_s.classes.update(other.ttft_s.classes)
        self.tpot_s.classes.update(other.tpot_s.classes)

    def document(self) -> dict[str, Any]:
        """As JSON; `tally_of` reads it."""
        return {
            "counts": dict(self.counts),
            "ttft_s": {str(number): count for number, count in self.ttft_s.classes.items()},
            "tpot_s": {str(number): count for number, count in self.tpot_s.classes.items()},
        }


FAILED = "failed:"
"""What the outcome of a failed request begins with, before the error's code."""


def tally_of(document: Mapping[str, Any]) -> Tally:
    return Tally(Counter(document["counts"]), *(Durations(_classes(document[name])) for name in ("ttft_s", "tpot_s")))


def _classes(document: Mapping[str, int]) -> Counter[int]:
    return Counter({int(number): count for number, count in document.items()})


@dataclass(slots=True)
class Course:
    """One side's figures since the beginning, and of the last 10 minutes."""

    total: Tally = field(default_factory=Tally)
    recent: Tally = field(default_factory=Tally)

    def add(self, other: "Course") -> None:
        self.total.add(other.total)
        self.recent.add(other.recent)


Sides: TypeAlias = dict[Side, Course]


class Tallies:
    """One router's figures, by what is tried and by side. Belongs to one event loop; times are its, in seconds."""

    def __init__(self, tally_ids: Collection[str] = ()) -> None:
        self._tried = tally_ids
        self._total: dict[tuple[str, Side], Tally] = {}
        self._slots: dict[tuple[str, Side], deque[tuple[float, Tally]]] = {}

    def of(self, tally_id: str, side: Side, now: float) -> tuple[Tally, Tally]:
        """
        Where to count what happens now: among all, and among what is recent.

        Of what is not tried any more nothing is counted, though requests of it may still end.
        """
        if tally_id not in self._tried:
            return Tally(), Tally()
        key = (tally_id, side)
        total = self._total.setdefault(key, Tally())
        slots = self._slots.setdefault(key, deque())
        if not slots or now - slots[-1][0] >= _SLOT_S:
            slots.append((now, Tally()))
        while now - slots[0][0] >= WINDOW_S:
            slots.popleft()
        return total, slots[-1][1]

    def count(self, tally_id: str, side: Side, now: float, *names: str) -> None:
        for tally in self.of(tally_id, side, now):
            tally.counts.update(names)

    def keep_only(self, tally_ids: Collection[str]) -> None:
        """These are tried from now on. What is not tried any more is forgotten."""
        self._tried = tally_ids
        for key in [key for key in self._total if key[0] not in tally_ids]:
            del self._total[key], self._slots[key]

    def courses(self, now: float) -> dict[str, Sides]:
        """A copy of all figures, by what is tried."""
        found: dict[str, Sides] = {}
        for (tally_id, side), total in self._total.items():
            recent = (tally for begun_at, tally in self._slots[tally_id, side] if now - begun_at < WINDOW_S)
            found.setdefault(tally_id, {})[side] = Course(_sum([total]), _sum(recent))
        return found


def _sum(tallies: Iterable[Tally]) -> Tally:
    summed = Tally()
    for tally in tallies:
        summed.add(tally)
    return summed


def add_sides(into: Sides, sides: Mapping[Side, Course]) -> None:
    for side, course in sides.items():
        into.setdefault(side, Course()).add(course)


def sides_document(sides: Mapping[Side, Course]) -> dict[str, Any]:
    """As JSON; `sides_of` reads it."""
    return {side: {"total": one.total.document(), "recent": one.recent.document()} for side, one in sides.items()}


def sides_of(document: Mapping[str, Any]) -> Sides:
    return {
        side: Course(tally_of(document[side]["total"]), tally_of(document[side]["recent"]))
        for side in SIDES
        if side in document
    }


SIDES: tuple[Side, ...] = ("stable", "canary", "client", "shadow")
