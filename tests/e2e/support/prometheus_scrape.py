"""What Ray's Prometheus endpoints say of the metrics in the router's table."""

import contextlib
import http.client
import json
import re
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from house import House
from waiting import wait_for

from router.metrics import Metric

_LINE = re.compile(r"^(?P<name>\w+)\{(?P<labels>.*)\} (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
Key = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Scrape:
    """All values of one moment: by the sample's name and its labels."""

    values: Mapping[Key, float] = field(repr=False)

    def of(self, name: str, **labels: str) -> Iterator[tuple[dict[str, str], float]]:
        """The labels and values of the samples of that name with at least these labels."""
        wanted = set(labels.items())
        return ((dict(key[1]), value) for key, value in self.values.items() if key[0] == name and wanted <= key[1])

    def total(self, name: str, **labels: str) -> float:
        return sum(value for _, value in self.of(name, **labels))

    def since(self, before: "Scrape") -> "Scrape":
        """What was added. The series of processes that ended meanwhile do not count: Ray forgets them."""
        return Scrape(
            {key: value - before.values.get(key, 0.0) for key, value in self.values.items()},
        )


def exported_name(metric: Metric) -> str:
    """Ray's name of a metric; a histogram's samples add `_bucket`, `_sum` and `_count` to it."""
    return f"ray_{metric.name}_total" if metric.kind == "counter" else f"ray_{metric.name}"


def scrape(house: House) -> Scrape:
    """All of a house's endpoints, found as Prometheus finds them."""
    values: dict[Key, float] = {}
    discovery = json.loads((house.session.parent / "prom_metrics_service_discovery.json").read_text())
    for target in (target for group in discovery for target in group["targets"]):
        for line in _ask(target).splitlines():
            if match := _LINE.match(line):
                values[match["name"], frozenset(_LABEL.findall(match["labels"]))] = float(match["value"])
    return Scrape(values)


def _ask(target: str) -> str:
    def ask() -> str | None:
        with (
            contextlib.suppress(OSError, http.client.HTTPException),  # late, or ended in the middle, too
            urllib.request.urlopen(f"http://{target}/metrics", timeout=10) as answer,
        ):
            text: str = answer.read().decode()
            return text
        return None

    return wait_for("Ray's agent tells its metrics", ask)
