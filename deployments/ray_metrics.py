"""Our metrics as Ray's, so that the dashboard and its Prometheus endpoint have them."""

import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ray.util.metrics import Counter, Gauge

from router.metrics import METRICS, Metric

FLUSH_INTERVAL_S = 1.0
"""How often values go to Ray, in seconds: more often than Ray hands them to Prometheus."""


@dataclass(slots=True)
class _Series:
    """One metric with one set of label values, since the process began."""

    metric: Metric
    labels: dict[str, str]
    value: float = 0.0
    """A counter's growth since the last flush, a gauge's value, or the sum of a histogram's observations."""
    counts: list[int] = field(default_factory=list)
    """Observations in each of a histogram's buckets, and above the last."""
    is_changed: bool = True

    def take(self) -> "_Series":
        """A copy to hand over. A counter begins anew, since Ray adds up itself."""
        taken = replace(self, counts=self.counts.copy())
        self.is_changed = False
        if self.metric.kind == "counter":
            self.value = 0.0
        return taken


class RayMetrics:
    """
    A `MetricSink` on Ray's metrics of this process.

    Ray takes one observation at a time, for 2.5 µs each, which is a tenth of what a token costs in all. So values are
    added up here, for a fifth of that, and handed over once a second. A histogram goes as Prometheus' own three series
    of one, `NAME_bucket` with the label `le`, `NAME_sum` and `NAME_count`, which Ray calls gauges.

    Ray exports a counter as `ray_NAME_total`, anything else as `ray_NAME`. May be used from several threads.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, ...], _Series] = {}
        self._lock = threading.Lock()
        self._instruments = {name: gauge for metric in METRICS for name, gauge in _instruments(metric).items()}
        self._is_closed = threading.Event()
        self._flusher = threading.Thread(target=self._flush_regularly, name="enginehouse-metrics", daemon=True)
        self._flusher.start()

    def record(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        with self._lock:
            series = self._changed(metric, labels)
            if metric.kind == "gauge":
                series.value = value
                return
            series.value += value
            if metric.buckets:
                series.counts[bisect_left(metric.buckets, value)] += 1

    def record_all(self, metric: Metric, values: Sequence[float], labels: dict[str, str]) -> None:
        with self._lock:
            series = self._changed(metric, labels)
            series.value += sum(values)
            for value in values:
                series.counts[bisect_left(metric.buckets, value)] += 1

    def flush(self) -> None:
        """Hand over what has changed, and histograms always: Ray forgets a gauge that was not set since its report."""
        with self._lock:
            due = [one.take() for one in self._series.values() if one.is_changed or one.metric.kind == "histogram"]
        for series in due:  # without the lock: whoever records does not wait for Ray
            self._hand_over(series)

    def close(self) -> None:
        """Hand over the last values."""
        self._is_closed.set()
        self._flusher.join()
        self.flush()

    def _changed(self, metric: Metric, labels: dict[str, str]) -> _Series:
        key = (metric.name, *labels.values())
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series(metric, labels, counts=[0] * (len(metric.buckets) + 1))
        series.is_changed = True
        return series

    def _flush_regularly(self) -> None:
        while not self._is_closed.wait(FLUSH_INTERVAL_S):
            self.flush()

    def _hand_over(self, series: _Series) -> None:
        name, labels = series.metric.name, series.labels
        if series.metric.kind == "histogram":
            total = 0
            for bound, count in zip((*series.metric.buckets, "+Inf"), series.counts, strict=True):
                total += count
                self._set(f"{name}_bucket", total, {**labels, "le": str(bound)})
            self._set(f"{name}_count", total, labels)
            self._set(f"{name}_sum", series.value, labels)
        elif series.metric.kind == "gauge":
            self._set(name, series.value, labels)
        elif series.value:
            counter = self._instruments[name]
            assert isinstance(counter, Counter)  # noqa: S101 - narrows the type
            counter.inc(series.value, labels)

    def _set(self, name: str, value: float, labels: dict[str, str]) -> None:
        gauge = self._instruments[name]
        assert isinstance(gauge, Gauge)  # noqa: S101 - narrows the type
        gauge.set(value, labels)


def _instruments(metric: Metric) -> dict[str, Counter | Gauge]:
    if metric.kind == "counter":
        return {metric.name: Counter(metric.name, metric.description, metric.labels)}
    if metric.kind == "gauge":
        return {metric.name: Gauge(metric.name, metric.description, metric.labels)}
    return {
        f"{metric.name}_bucket": Gauge(f"{metric.name}_bucket", metric.description, (*metric.labels, "le")),
        f"{metric.name}_sum": Gauge(f"{metric.name}_sum", metric.description, metric.labels),
        f"{metric.name}_count": Gauge(f"{metric.name}_count", metric.description, metric.labels),
    }
