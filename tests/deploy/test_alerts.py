"""`deploy/prometheus/alerts.yaml`, held against the metrics that there are."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from router.metrics import METRICS, Metric

ALERTS = Path(__file__).parents[2] / "deploy" / "prometheus" / "alerts.yaml"
RULES: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"][0]["rules"]
SERIES = re.compile(r"(ray_enginehouse_\w+)(?:\{([^}]*)\})?")
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])


def metric_of(series: str) -> Metric:
    name = re.sub(r"_(total|bucket)$", "", series.removeprefix("ray_"))
    (found,) = (metric for metric in METRICS if metric.name == name)
    suffix = {"counter": "_total", "gauge": "", "histogram": "_bucket"}[found.kind]
    assert f"ray_{found.name}{suffix}" == series
    return found


@every_rule
def test_its_metrics_exist_with_their_labels(rule: dict[str, Any]) -> None:
    """Each series is exported under its name, with the labels by which it is selected and summed."""
    found = SERIES.findall(rule["expr"])
    assert found
    labels = {"le"}.union(*(metric_of(series).labels for series, _ in found))
    chosen = {label for _, selector in found for label in re.findall(r"(\w+)=", selector)}
    summed = {word for words in re.findall(r"by \(([^)]*)\)", rule["expr"]) for word in words.split(", ")}
    assert set() == (chosen | summed) - labels


@every_rule
def test_its_summary_names_what_it_is_about(rule: dict[str, Any]) -> None:
    """Labels that are summed away are not in it."""
    summed = re.findall(r"(?:sum|max) by \(([^)]*)\)", rule["expr"])[0].split(", ")
    named = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
    assert "model" in named
    assert set() == set(named) - set(summed)
