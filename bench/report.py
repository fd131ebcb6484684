"""Measurements as rows, and rows as text. No effects here."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.measured import Measured
from bench.scenarios import SCENARIOS, Scenario

BASELINE = "direct"
"""The contender whose TTFT is subtracted."""

REFERENCE = "vllm-router"
"""The contender whose CPU is the unit of comparison."""

OWN_LISTENER = "own-listener"
SATURATED_RATIO = 0.8
"""Below this share of the load that was offered a contender, or the machine, was overloaded."""


@dataclass(frozen=True, slots=True)
class Row:
    """One group of processes of one contender under one scenario. Unknown numbers are NaN."""

    scenario: Scenario
    contender: str
    group: str
    net_us: float
    """CPU microseconds per unit of work, idle use subtracted; median of the windows."""
    net_us_low: float
    net_us_high: float
    raw_us: float
    idle_ratio: float
    """CPU seconds a second without load."""
    ratio: float
    """`net_us` over that of the reference's first group."""
    units_per_s: float
    load_ratio: float
    ttft_added_p50_ms: float
    ttft_added_p99_ms: float
    num_requests: int
    num_errors: int


@dataclass(frozen=True, slots=True)
class Target:
    text: str
    scenario: str
    reference: str
    max_ratio: float
    """Of our CPU to the reference's, per unit of work."""


@dataclass(frozen=True, slots=True)
class Verdict:
    target: Target
    group: str
    """The processes of ours that were counted."""
    ratio: float
    """Of our CPU to the reference's. NaN when one of them was not measured; 0 or less when the noise of idle use was
    larger than ours."""
    word: str
    """`pass`, `miss` or `not measured`."""


TARGETS = (
    Target("own listener: at most 1.0x vllm-router's CPU per paced token", "paced-stream", REFERENCE, 1.0),
    Target("own listener: at most 1.2x vllm-router's CPU per one-shot request", "one-shot", REFERENCE, 1.2),
    Target("own listener: at least 50x less CPU per one-shot request than LiteLLM", "one-shot", "litellm", 1 / 50),
)


def net_us(results: Sequence[Measured], contender: str, scenario: str, group: str | None = None) -> float:
    """The median of the contender's windows; its first group, when none is named."""
    for measured in results:
        if measured.contender == contender and measured.scenario.name == scenario:
            return statistics.median(measured.net_us(group or measured.groups[0]))
    return math.nan


def ttft_ms(results: Sequence[Measured], contender: str, scenario: str, ratio: float) -> float:
    for measured in results:
        if measured.contender == contender and measured.scenario.name == scenario:
            return measured.ttft_ms(ratio)
    return math.nan


def rows(results: Sequence[Measured]) -> list[Row]:
    return [
        _row(results, measured, group)
        for scenario in SCENARIOS
        for measured in results
        if measured.scenario is scenario
        for group in measured.groups
    ]


def _row(results: Sequence[Measured], measured: Measured, group: str) -> Row:
    net, name = measured.net_us(group), measured.scenario.name
    return Row(
        scenario=measured.scenario,
        contender=measured.contender,
        group=group,
        net_us=statistics.median(net),
        net_us_low=min(net),
        net_us_high=max(net),
        raw_us=statistics.median(measured.raw_us(group)),
        idle_ratio=measured.idle_ratio(group),
        ratio=math.nan if measured.contender == BASELINE else statistics.median(net) / net_us(results, REFERENCE, name),
        units_per_s=measured.units_per_s,
        load_ratio=measured.load_ratio,
        ttft_added_p50_ms=measured.ttft_ms(0.5) - ttft_ms(results, BASELINE, name, 0.5),
        ttft_added_p99_ms=measured.ttft_ms(0.99) - ttft_ms(results, BASELINE, name, 0.99),
        num_requests=sum(window.marked.num_requests for window in measured.windows),
        num_errors=sum(measured.errors.values()),
    )


def headings(scenario: Scenario) -> tuple[str, ...]:
    unit = scenario.unit.value
    return (
        *("contender", "processes", f"net µs/{unit}", "low-high", f"raw µs/{unit}", "idle", "ratio"),
        *(f"{unit}s/s", "TTFT p50 +ms", "p99 +ms", "errors"),
    )


def cells(row: Row) -> tuple[str, ...]:
    is_saturated = row.load_ratio < SATURATED_RATIO
    return (
        row.contender,
        row.group,
        number(row.net_us),
        f"{number(row.net_us_low)}-{number(row.net_us_high)}",
        number(row.raw_us),
        f"{row.idle_ratio:.1%}",
        f"{row.ratio:.2f}" if math.isfinite(row.ratio) else "-",
        number(row.units_per_s) + (f" ({row.load_ratio:.0%})" if is_saturated else ""),
        _milliseconds(row.ttft_added_p50_ms),
        _milliseconds(row.ttft_added_p99_ms),
        f"{row.num_errors} of {row.num_errors + row.num_requests}" if row.num_errors else "0",
    )


def number(value: float) -> str:
    """Three digits are all that these measurements are good for."""
    if not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 99.5 else f"{value:.3g}"


def _milliseconds(value: float) -> str:
    return f"{value:+,.2f}" if math.isfinite(value) else "-"


def verdicts(results: Sequence[Measured]) -> list[Verdict]:
    """Every target, for every group that our CPU is counted in."""
    found = []
    for target in TARGETS:
        ours = [m for m in results if m.contender == OWN_LISTENER and m.scenario.name == target.scenario]
        for group in ours[0].groups if ours else ("-",):
            mine = net_us(results, OWN_LISTENER, target.scenario, group) if ours else math.nan
            ratio = mine / net_us(results, target.reference, target.scenario)
            word = "pass" if 0 < ratio <= target.max_ratio else "miss" if ratio > 0 else "not measured"
            found.append(Verdict(target, group, ratio, word))
    return found


def markdown(results: Sequence[Measured]) -> str:
    lines: list[str] = []
    for scenario in SCENARIOS:
        found = [row for row in rows(results) if row.scenario is scenario]
        if found:
            lines += [f"## {scenario.title}", "", _line(headings(scenario)), "|---" * len(headings(scenario)) + "|"]
            lines += [*(_line(cells(row)) for row in found), ""]
    lines += ["## Targets", "", "| target | processes | reached | |", "|---|---|---|---|"]
    lines += [
        _line((verdict.target.text, verdict.group, reached(verdict.ratio), verdict.word))
        for verdict in verdicts(results)
    ]
    return "\n".join(lines) + "\n"


def reached(ratio: float) -> str:
    if not ratio > 0:
        return "-"
    return f"{ratio:.2f}x" if ratio > 0.1 else f"{1 / ratio:.0f}x less"


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
