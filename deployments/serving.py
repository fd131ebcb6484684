"""A deployment as seen from the command line: brought up, shown, watched, shut down."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from types import MappingProxyType
from typing import Any

from ray import serve
from ray.serve.schema import ApplicationStatusOverview
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table

from configs.serve_file import ServeFile
from deployments.editors.client import YOUR_KEY, Key, Setup
from deployments.editors.clients.copilot import copilot_settings
from deployments.editors.offered import OfferedModel
from deployments.local_cluster import Cluster
from deployments.placement import Demand, demands_of, why_nowhere
from deployments.rollout import Progress, Stage, fatal, is_settled, read_progress
from deployments.router_client import RouterClient
from deployments.serve_internals import deploy, forget_phases, read_nodes, read_phases

POLL_S = 0.2
WATCH_S = 2.0
Show = Callable[[Sequence[Progress]], None]


@dataclass(slots=True, frozen=True)
class Plan:
    """
    What a file says of its applications, by name.

    `demands` is what one replica asks for. `dispensable` are those for which a fallback stands in.
    """

    demands: Mapping[str, Demand]
    dispensable: frozenset[str]


def read_plan(file: ServeFile) -> Plan:
    """
    A model's last resort is indispensable: its last fallback, or else the backend of the greatest weight.

    A shadow never is, unless it is that of another row of the table.
    """
    routes = [route for _, router in file.routers() for route in router.user_config.models.values()]
    last = {route.fallbacks[-1] if route.fallbacks else route.applications[0] for route in routes}
    covered = {name for route in routes for name in route.applications}
    covered |= {route.shadow.application for route in routes if route.shadow is not None}
    return Plan(demands_of(file), frozenset(covered - last))


class DeployFailedError(Exception):
    """Something in the file did not start, or not in time. The message is the reason, for a person."""


def bring_up(
    config: Mapping[str, Any],
    plan: Plan,
    connect: Callable[[], RouterClient],
    console: Console,
    timeout_s: float,
) -> RouterClient:
    """
    Deploy, showing progress, until every model has answered.

    Args:
        config: the file, as it was read.
        plan: what is known of its applications.
        connect: called once a router listens.

    Raises:
        DeployFailedError: an application failed, or `timeout_s` passed.
    """
    deadline = time.monotonic() + timeout_s
    for application in config["applications"]:
        forget_phases(application["name"])
    deploy(config)
    with _progress_display(console) as show:
        progress = _wait_until_settled(show, plan, deadline)
        failed = fatal(progress, plan.dispensable)
        if failed:
            raise DeployFailedError(_reasons(failed))
        client = connect()
        for model in client.models():
            _wait_for_answer(client, model, deadline)
    failed = [one for one in progress if one.stage is Stage.FAILED]
    if failed:
        console.print(f"{_reasons(failed)}\nIts fallbacks serve meanwhile.", markup=False, soft_wrap=True)
    return client


def _reasons(failed: Sequence[Progress]) -> str:
    return "\n".join(f"{one.application}: {one.reason}" for one in failed)


def announce(client: RouterClient, cluster: Cluster, console: Console, *, needs_key: bool, is_watched: bool) -> None:
    """Say where to point an editor, and with which settings. `is_watched` says that this command goes on."""
    models = client.models()
    console.print(
        "\n[bold]VS Code[/]: the command 'Chat: Manage Language Models' opens chatLanguageModels.json; put there"
    )
    setup = Setup(client.base_url.removesuffix("/v1"), models, Key("", YOUR_KEY) if needs_key else None)
    console.print(copilot_settings(setup), markup=False, soft_wrap=True)
    console.print(f"Other editors: enginehouse editors --address {setup.origin}", markup=False, soft_wrap=True)
    if cluster.dashboard_url:
        console.print(f"\nRay dashboard: {cluster.dashboard_url}")
    console.print(f"Ray address: {cluster.address}", soft_wrap=True)
    if cluster.logs:
        console.print(f"Logs: {cluster.logs}", soft_wrap=True)
    names = ", ".join(model.name for model in models)
    console.print(
        "Serving "
        + names
        + ("" if needs_key else ", to this machine without an API key")
        + (". Ctrl-C stops." if is_watched else ". `serve shutdown` stops.")
    )
    console.print(f"[bold green]Ready.[/] Point your editor at [bold]{client.base_url}[/]", soft_wrap=True)


def watch_over(console: Console) -> None:
    """Print every change of an application's stage, for ever."""
    seen = {one.application: one.stage for one in read_all_progress()}
    while True:
        time.sleep(WATCH_S)
        for one in read_all_progress():
            if seen.get(one.application) is not one.stage:
                seen[one.application] = one.stage
                console.print(f"{time.strftime('%H:%M:%S')} {one.application}: {one.detail} {one.reason}", markup=False)


def take_down(console: Console, router: str, models: Sequence[str]) -> None:
    """Delete the applications: the router first, so that its last requests find their engines still there."""
    with console.status("Finishing running requests"):
        for names in ({router}, set(models)):
            for name in names & serve.status().applications.keys():
                serve.delete(name, _blocking=False)
            while not names.isdisjoint(serve.status().applications):
                time.sleep(POLL_S)


def read_all_progress(demands: Mapping[str, Demand] = MappingProxyType({})) -> list[Progress]:
    """
    Every application's progress, from Serve's status and the replicas' own words. Those that are in `demands` say
    what no node has for them.
    """
    nodes = cache(read_nodes)

    def missing_for(name: str) -> str | None:
        return why_nowhere(demands[name], nodes()) if name in demands else None

    return [
        read_progress(
            name, application.status.value, _message(application), read_phases(name), partial(missing_for, name)
        )
        for name, application in sorted(serve.status().applications.items())
    ]


def _message(application: ApplicationStatusOverview) -> str:
    """The application's message and those of its deployments, which alone say why a replica did not start."""
    return "\n".join([application.message, *(one.message for one in application.deployments.values())])


def _wait_until_settled(show: Show, plan: Plan, deadline: float) -> list[Progress]:
    while True:
        progress = read_all_progress(plan.demands)
        show(progress)
        if progress and is_settled(progress, plan.dispensable):
            return progress
        if time.monotonic() > deadline:
            waiting = ", ".join(
                f"{one.application} ({one.detail})" for one in progress if one.stage is not Stage.RUNNING
            )
            raise DeployFailedError(f"not ready in time: {waiting}")
        time.sleep(POLL_S)


def _wait_for_answer(client: RouterClient, model: OfferedModel, deadline: float) -> None:
    while True:
        try:
            client.first_answer(model.name, max(1.0, deadline - time.monotonic()))
        except OSError as error:
            if time.monotonic() > deadline:
                raise DeployFailedError(f"the model {model.name} does not answer: {error}") from error
            time.sleep(POLL_S)
        else:
            return


@contextmanager
def _progress_display(console: Console) -> Iterator[Show]:
    """A live table on a terminal; elsewhere one line for each change."""
    if not console.is_terminal:
        yield _line_printer(console)
        return
    with Live(console=console, refresh_per_second=8) as live:
        yield lambda progress: live.update(_table(progress))


def _line_printer(console: Console) -> Show:
    last: dict[str, str] = {}

    def show(progress: Sequence[Progress]) -> None:
        for one in progress:
            if last.get(one.application) != one.detail:
                last[one.application] = one.detail
                console.print(f"{one.application}: {one.detail}", markup=False)

    return show


_MARKS = {Stage.RUNNING: "[green]✓[/]", Stage.FAILED: "[red]✗[/]", Stage.UNHEALTHY: "[yellow]![/]"}


def _table(progress: Sequence[Progress]) -> Table:
    table = Table.grid(padding=(0, 1))
    for one in progress:
        table.add_row(_MARKS.get(one.stage) or Spinner("dots"), one.application, f"[dim]{one.detail}[/]")
    return table
