"""A metric sink that keeps what it is told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from router.metrics import Metric


@dataclass(frozen=True, slots=True)
class Record:
    """One value, with the labels as they were at that moment."""

    metric: Metric
    value: float
    labels: dict[str, str]


@dataclass(slots=True)
class RecordingSink:
    """Every value in the order in which it came."""

    records: list[Record] = field(default_factory=list)

    def record(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        self.records.append(Record(metric, value, dict(labels)))

    def record_all(self, metric: Metric, values: Sequence[float], labels: dict[str, str]) -> None:
        for value in values:
            self.record(metric, value, labels)

    def of(self, metric: Metric, **labels: str) -> Iterator[Record]:
        """The records of a metric whose labels are at least these."""
        return (one for one in self.records if one.metric is metric and labels.items() <= one.labels.items())

    def total(self, metric: Metric, **labels: str) -> float:
        return sum(one.value for one in self.of(metric, **labels))
