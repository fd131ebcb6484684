"""Reading single values out of Prometheus' text format."""

import math


class MetricNotFound(LookupError):
    """The text has no sample of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"no sample of {self.name}"


def samples(text: str) -> dict[str, float]:
    """
    Each metric's value, summed over its labels. Lines that are no samples are passed over, and so are NaNs.

    Source:
        https://prometheus.io/docs/instrumenting/exposition_formats/ ("Text-based format")
    """
    totals: dict[str, float] = {}
    for line in text.splitlines():
        if not line or line[0] == "#":
            continue
        name, _, rest = line.partition("{") if "{" in line else line.partition(" ")
        # A label's value may hold any character, blanks and braces too, but neither value nor timestamp does.
        fields = rest.rpartition("}")[2].split()
        if not fields:
            continue
        try:
            value = float(fields[0])
        except ValueError:
            continue
        if not math.isnan(value):
            totals[name] = totals.get(name, 0.0) + value
    return totals


def required(values: dict[str, float], name: str) -> int:
    """
    A count that must be there.

    Raises:
        MetricNotFound: it is not.
    """
    if name not in values:
        raise MetricNotFound(name)
    return int(values[name])


def optional(values: dict[str, float], name: str) -> int | None:
    return int(values[name]) if name in values else None
