"""router.metrics: the table of metrics."""

import re

import pytest

from router.metrics import BATCH_LINES, BATCHES, METRICS, QUEUE_TIME, QUEUED, ROUTED, Metric, NoMetrics

metrics = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


def test_names_are_unique() -> None:
    """Two metrics of one name would be one in Prometheus."""
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)


@metrics
def test_a_name_begins_with_ours(metric: Metric) -> None:
    """Lower case and underscores, and `enginehouse_` first."""
    assert re.fullmatch(r"enginehouse_[a-z]+(_[a-z]+)*", metric.name)


@metrics
def test_units_and_names_agree(metric: Metric) -> None:
    """What counts seconds ends with `_seconds`, and a ratio with `_ratio`."""
    assert metric.unit
    assert (metric.unit == "seconds") == metric.name.endswith("_seconds")
    assert metric.unit.startswith("ratio") == metric.name.endswith("_ratio")


@metrics
def test_buckets_ascend_and_only_histograms_have_them(metric: Metric) -> None:
    """Upper bounds, each greater than the one before it."""
    assert sorted(set(metric.buckets)) == list(metric.buckets)
    assert (metric.kind == "histogram") == bool(metric.buckets)


@metrics
def test_every_metric_says_which_model_engine_and_replica(metric: Metric) -> None:
    """
    These three labels come first, so that every metric can be cut the same way.

    A batch may have many of each, a rule chooses before there is an engine, and who waits has no replica yet.
    """
    if metric not in (BATCH_LINES, BATCHES, ROUTED, QUEUED, QUEUE_TIME):
        assert ("model", "engine", "replica") == metric.labels[:3]
    assert metric.description.endswith(".")


def test_no_metrics_records_nothing() -> None:
    """It takes what any sink takes."""
    NoMetrics().record(METRICS[0], 1, {})
