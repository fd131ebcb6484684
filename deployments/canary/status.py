"""What `enginehouse canary status` shows: both sides of each canary and shadow, one beside the other."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from deployments.canary.book import Book, read_book
from deployments.serve_internals import ask_all_routers
from router.canary.tally import Course, Durations, Side, Sides, Tally
from router.canary.trial import Trial
from router.canary.verdict import parity_of

_SHADOW_COUNTS = ("equal", "different", "error", "length", "tool_calls", "dropped", "uncompared")

_PIPE_WIDTH = 120
"""Columns of the table where there is no terminal."""


def show_status(model: str | None, *, as_json: bool) -> None:
    """Print it, with the routers' figures of now."""
    answers = ask_all_routers("step_canaries")
    if not answers:
        raise click.ClickException("no router runs on this cluster")
    found = [one for one in status_of(read_book(), answers[0], time.time()) if model in (None, one["model"])]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("no canary and no shadow")
    console = Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    for one in found:
        for line in _headlines(one):
            console.print(line, markup=False, soft_wrap=True)
        console.print(_table(one["sides"]))
        for line in _copies(one["sides"]):
            console.print(line, markup=False, soft_wrap=True)


def status_of(book: Book, shadows: Sequence[Mapping[str, str]], now: float) -> list[dict[str, Any]]:
    """
    As JSON: every canary, and every shadow of the file.

    Args:
        book: what is known of canaries, with all routers' figures.
        shadows: those of the file, as `CanaryKeeper.shadows`.
        now: Unix time, in seconds.
    """
    found = [_trial(trial, book.tallies.get(trial.id, {}), now) for trial in book.trials]
    for shadow in shadows:
        sides = _sides(book.tallies.get(shadow["of"], {}))
        found.append({"model": shadow["model"], "backend": shadow["backend"], "state": "shadow", "sides": sides})
    return found


def _trial(trial: Trial, sides: Sides, now: float) -> dict[str, Any]:
    return {
        "model": trial.model,
        "backend": trial.label,
        "state": trial.state,
        "reason": None if trial.ending is None else trial.ending.reason,
        "percent": trial.percent,
        "tenants": list(trial.tenants),
        "shadow_percent": trial.shadow_percent,
        "age_s": round(now - trial.started_at, 1),
        "rule": trial.rule.model_dump(),
        "sides": _sides(sides),
    }


def _sides(sides: Mapping[Side, Course]) -> dict[str, Any]:
    return {side: {"total": _figures(one.total), "recent": _figures(one.recent)} for side, one in sides.items()}


def _figures(tally: Tally) -> dict[str, Any]:
    return {
        "num_ok": tally.num_ok,
        "num_failed": tally.num_failed,
        "num_refused": tally.counts["refused"],
        "num_left": tally.counts["left"],
        "error_ratio": round(tally.error_ratio, 4),
        "ttft_ms": _quantiles(tally.ttft_s),
        "tpot_ms": _quantiles(tally.tpot_s),
        "parity_ratio": round(parity_of(tally)[0], 4),
        "compared": {name: tally.counts[name] for name in _SHADOW_COUNTS if tally.counts[name]},
    }


def _quantiles(durations: Durations) -> dict[str, float | None]:
    found = {name: durations.quantile(ratio) for name, ratio in (("p50", 0.5), ("p95", 0.95))}
    return {name: None if value is None else round(value * 1000, 2) for name, value in found.items()}


def _headlines(one: Mapping[str, Any]) -> Iterator[str]:
    if one["state"] == "shadow":
        yield f"{one['model']}: shadow {one['backend']}, by the file"
        return
    parts = f"{one['percent']:g} % of sessions, {len(one['tenants'])} tenants, {one['shadow_percent']:g} % copied"
    yield f"{one['model']}: canary {one['backend']}, {one['state']}; {parts}; begun {one['age_s']:.0f} s ago"
    if one["reason"] is not None:
        yield f"  {one['state']} {one['reason']}"


def _table(sides: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("", "ok", "failed", "refused", "left", "errors", "TTFT p50/p95 ms", "TPOT p50/p95 ms"):
        table.add_column(title, justify="right" if title else "left")
    for side, views in sides.items():
        for when, figures in views.items():
            table.add_row(f"  {side}" if when == "total" else "   in 10 min", *_cells(figures))
    return table


def _cells(figures: Mapping[str, Any]) -> Iterator[str]:
    for name in ("num_ok", "num_failed", "num_refused", "num_left"):
        yield str(figures[name])
    yield f"{figures['error_ratio']:.1%}"
    for name in ("ttft_ms", "tpot_ms"):
        yield " / ".join("-" if value is None else f"{value:.4g}" for value in figures[name].values())


def _copies(sides: Mapping[str, Any]) -> Iterator[str]:
    compared = sides["shadow"]["total"]["compared"] if "shadow" in sides else {}
    if compared:
        yield "  copies: " + ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in compared.items())
