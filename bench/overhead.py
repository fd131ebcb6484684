"""What a router costs: `python -m bench.overhead`. README.md says what is measured, and how to read it."""

import itertools
import json
import math
import os
import platform
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bench import report
from bench.contenders import PEERS, Contender, Direct
from bench.doors import DOORS
from bench.environments import InstallFailed
from bench.measure import ClientFailed, Plan, measure, measure_idle
from bench.measured import Measured, Window, quantile
from bench.processes import ServerFailed
from bench.scenarios import SCENARIOS, Pace

CONTENDERS: dict[str, Contender] = {contender.name: contender for contender in (Direct(), *DOORS, *PEERS)}
MIN_WIDTH = 160
SETTLE_S = 5.0
"""From a contender's first answer to the look at it idle: starting has an aftermath."""


def _measure_contender(
    contender: Contender, measured: list[Measured], plan: Plan, log_folder: Path, console: Console
) -> None:
    """Add windows to each of `measured`, all of one pace, from one start of the contender."""
    with (
        console.status(f"{contender.title}: starting") as status,
        contender.start(measured[0].scenario.pace, log_folder) as started,
    ):
        time.sleep(SETTLE_S)
        status.update(f"{contender.title}: idle")
        idle_ratio = measure_idle(started.groups, plan.idle_s)
        for one in measured:
            status.update(f"{contender.title}: {one.scenario.title}")
            one.windows += measure(one.scenario, started.groups, started.address, plan, idle_ratio)
        status.update(f"{contender.title}: stopping")


def _measure_all(measured: list[Measured], num_rounds: int, plan: Plan, progress: Console) -> bool:
    """Whether everything could be measured."""
    is_complete = True
    names = dict.fromkeys(one.contender for one in measured)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for _, name, pace in itertools.product(range(num_rounds), names, Pace):
            ours = [one for one in measured if one.contender == name and one.scenario.pace is pace]
            try:
                CONTENDERS[name].install(progress)
                if ours:
                    _measure_contender(CONTENDERS[name], ours, plan, Path(folder), progress)
            except (ServerFailed, ClientFailed, InstallFailed) as error:
                is_complete = False
                progress.print(f"{CONTENDERS[name].title}: {error}", markup=False, style="red")
    return is_complete


def _print_report(results: list[Measured], console: Console) -> None:
    for scenario in SCENARIOS:
        table = Table(title=scenario.title, title_justify="left")
        for number, heading in enumerate(report.headings(scenario)):
            table.add_column(heading, justify="left" if number < 2 else "right")
        for row in report.rows(results):
            if row.scenario is scenario:
                table.add_row(*report.cells(row))
        if table.row_count:
            console.print(table)
    for measured in results:
        for reason, count in measured.errors.items():
            console.print(f"{measured.contender}, {measured.scenario.name}: {count} x {reason}", markup=False)
    for verdict in report.verdicts(results):
        console.print(
            f"{verdict.word:12}  {verdict.target.text} ({verdict.group}): {report.reached(verdict.ratio)}", markup=False
        )


def _as_json(results: list[Measured], plan: Plan) -> str:
    document = {
        "machine": {
            "num_cpus": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
        },
        "plan": asdict(plan),
        "rows": [asdict(row) | {"scenario": row.scenario.name} for row in report.rows(results)],
        "targets": [asdict(verdict) for verdict in report.verdicts(results)],
        "windows": [_window(one, window) for one in results for window in one.windows],
    }
    return json.dumps(_without_nan(document), indent=1) + "\n"


def _window(measured: Measured, window: Window) -> dict[str, object]:
    """Quantiles in place of the thousands of single times."""
    marked = window.marked
    return {
        "contender": measured.contender,
        "scenario": measured.scenario.name,
        "seconds": window.seconds,
        "cpu_s": window.cpu_s,
        "idle_ratio": window.idle_ratio,
        "num_requests": marked.num_requests,
        "num_tokens": marked.num_tokens,
        "errors": marked.errors,
        "ttft_ms": {f"p{ratio * 100:g}": quantile(marked.ttft_ms, ratio) for ratio in (0.5, 0.9, 0.99, 1.0)},
    }


def _without_nan(value: object) -> object:
    """JSON has no NaN: what is not known becomes null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(CONTENDERS)), help="Contenders; all of them by default.")
@click.option("--scenario", "scenario_names", multiple=True, type=click.Choice([s.name for s in SCENARIOS]))
@click.option("--seconds", default=8.0, show_default=True, help="Length of one measured window.")
@click.option("--windows", default=3, show_default=True, help="Windows for each start and scenario.")
@click.option("--rounds", default=1, show_default=True, help="Times that the whole comparison is gone through.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write everything measured there.")
@click.option("--markdown", "markdown_file", type=click.Path(path_type=Path), help="Write the tables there.")
def main(  # noqa: PLR0913, PLR0917 - one parameter for each option
    only: tuple[str, ...],
    scenario_names: tuple[str, ...],
    seconds: float,
    windows: int,
    rounds: int,
    json_file: Path | None,
    markdown_file: Path | None,
) -> None:
    """Compare what routers cost in front of the same simulated engines under the same load."""
    plan = Plan(window_s=seconds, num_windows=windows)
    measured = [
        Measured(name, scenario)
        for name in only or CONTENDERS
        for scenario in SCENARIOS
        if not scenario_names or scenario.name in scenario_names
    ]
    is_complete = _measure_all(measured, rounds, plan, Console(stderr=True))
    results = [one for one in measured if one.windows]
    console = Console()
    console.width = max(console.width, MIN_WIDTH)  # as wide as the tables, also into a file
    _print_report(results, console)
    if json_file:
        json_file.write_text(_as_json(results, plan))
    if markdown_file:
        markdown_file.write_text(report.markdown(results))
    sys.exit(0 if is_complete and not any(one.errors for one in results) else 1)


if __name__ == "__main__":
    main()
