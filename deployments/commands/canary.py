"""`enginehouse canary`: try a new backend of a model on some of its sessions, watch it, keep it or take it away."""

import secrets
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from deployments.commands.asking_routers import joined
from deployments.commands.ranges import FiniteRange

if TYPE_CHECKING:  # importing Ray takes a second; a wrong option is told before
    from router.canary.decisions import Row
    from router.canary.trial import Trial

T = TypeVar("T")

NUM_LOOKS, LOOK_PAUSE_S = 6, 0.5
"""How often routers are asked until they say the same, and the pauses between, in seconds: they take over what another
command wrote within a second."""

_address = click.option(
    "--address", envvar="RAY_ADDRESS", default="auto", help="The Ray cluster that serves; default: that of this node."
)
_RULE_OPTIONS = {
    "min_requests": ("--min-requests", "Requests that either side must have answered before anything is concluded."),
    "max_error_ratio_increase": ("--max-error-ratio-increase", "Abort when more requests fail by this, 0 to 1."),
    "max_ttft_increase_ratio": ("--max-ttft-increase-ratio", "Abort when the first token takes longer by this part."),
    "max_tpot_increase_ratio": ("--max-tpot-increase-ratio", "Abort when each token takes longer by this part."),
    "min_parity_ratio": ("--min-parity-ratio", "Abort when fewer copied requests are answered alike, 0 to 1."),
}


def _checked_tenants(_context: click.Context, _parameter: click.Parameter, ids: tuple[str, ...]) -> tuple[str, ...]:
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    from configs.backends import TenantId  # noqa: PLC0415

    try:
        return tuple(TypeAdapter(list[TenantId]).validate_python(list(ids)))
    except ValidationError as error:
        raise click.BadParameter(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


@click.group()
def canary() -> None:
    """Try a new backend on a part of a model's sessions, beside the others."""


def _rule_options(command: Callable[..., None]) -> Callable[..., None]:
    for name, (option, text) in reversed(_RULE_OPTIONS.items()):
        kind: type = int if name == "min_requests" else float
        command = click.option(option, name, type=kind, help=f"{text} Default: the model's canary_rule.")(command)
    return command


@canary.command()
@click.argument("model")
@click.option("--application", required=True, help="The Serve application to try; it must run.")
@click.option("--adapter", help="One of the LoRA adapters of its engine.")
@click.option("--percent", type=FiniteRange(0, 100), default=0.0, help="Share of the model's sessions.")
@click.option(
    "--tenant", "tenants", multiple=True, callback=_checked_tenants,
    help="An API key's id, all of whose requests go there; repeatable.",
)  # fmt: skip
@click.option("--shadow-percent", type=FiniteRange(0, 100), default=0.0, help="Share of requests to copy to it.")
@click.option("--no-rule", is_flag=True, help="Never abort it automatically.")
@_rule_options
@_address
def start(model: str, address: str, **options: Any) -> None:  # noqa: ANN401 - click gives each by its name
    """
    Give a new backend a part of MODEL's sessions; once more, with another part, to give it more or less.

    Sessions stay where they are as long as their backend's part does not shrink.
    """
    _on_cluster(address, lambda: _start(model, options))


@canary.command()
@click.argument("model", required=False)
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
@_address
def status(model: str | None, as_json: bool, address: str) -> None:  # noqa: FBT001 - click's way
    """Show how canaries and shadows do beside the other backends: of MODEL, or all."""
    from deployments.canary.status import show_status  # noqa: PLC0415

    _on_cluster(address, lambda: show_status(model, as_json=as_json))


@canary.command()
@click.argument("model")
@_address
def promote(model: str, address: str) -> None:
    """
    Make MODEL's canary its own backend: all sessions go there, until the file says otherwise.

    Write it into the file, too, and deploy that: a deployed file that changes the model's backends is what holds.
    """
    _on_cluster(address, lambda: _end(model, "promoted", "by command"))


@canary.command()
@click.argument("model")
@click.option("--reason", default="by command", help="What to say of it.")
@_address
def abort(model: str, reason: str, address: str) -> None:
    """Take MODEL's canary away at once, or what was promoted and is not in the file yet."""
    _on_cluster(address, lambda: _end(model, "aborted", reason))


@canary.command()
def tenant() -> None:
    """Print the id of an API key, which is read from the terminal, or from a pipe: for --tenant and `tenants`."""
    from configs.backends import TENANT_ID_CHARS  # noqa: PLC0415
    from router.http.auth import tenant_of  # noqa: PLC0415

    is_terminal = sys.stdin.isatty()
    key: str = click.prompt("API key", hide_input=True, err=True) if is_terminal else sys.stdin.readline().strip()
    if not key:
        raise click.UsageError("no key was given")
    click.echo(tenant_of(key)[:TENANT_ID_CHARS])


def _start(model: str, options: dict[str, Any]) -> None:
    from deployments.canary.book import read_book  # noqa: PLC0415
    from deployments.canary.steps import begin, confirm  # noqa: PLC0415
    from router.canary.decisions import why_not  # noqa: PLC0415

    row = _row(model)
    wanted = _wanted(row, options)
    refusal = why_not(wanted, row, read_book().running(row.name)) or _why_not_there(wanted, row)
    if refusal is not None:
        raise click.ClickException(refusal)
    trial = begin(wanted, row)
    _refresh()
    confirm(trial)
    click.echo(f"{trial.label} gets, of {row.name}: {trial.portion}")


def _wanted(row: "Row", options: dict[str, Any]) -> "Trial":
    from pydantic import ValidationError  # noqa: PLC0415

    from configs.backends import CanaryRule  # noqa: PLC0415
    from router.canary.trial import Trial  # noqa: PLC0415

    said = {name: options[name] for name in _RULE_OPTIONS if options[name] is not None}
    if options["no_rule"]:
        said["enabled"] = False
    try:
        rule = CanaryRule(**{**row.rule.model_dump(), **said})
    except ValidationError as error:
        found = error.errors()[0]
        raise click.UsageError(f"{_RULE_OPTIONS[str(found['loc'][0])][0]}: {found['msg']}") from error
    return Trial(
        secrets.token_hex(6), row.name, options["application"], options["adapter"], options["percent"],
        options["tenants"], options["shadow_percent"], rule, row.base, time.time(),
    )  # fmt: skip


def _why_not_there(wanted: "Trial", row: "Row") -> str | None:
    from configs.engine import ModelArgs  # noqa: PLC0415
    from deployments.serve_internals import application_args, running_hosts  # noqa: PLC0415

    args = application_args(wanted.application)
    if args is None:
        return f"no application {wanted.application!r} is deployed"
    try:
        has_replica = bool(running_hosts(wanted.application, "Engine"))
    except KeyError:
        return f"the application {wanted.application!r} is no model"
    if not has_replica:
        return f"the application {wanted.application!r} has no running replica"
    settings = ModelArgs.model_validate(args).root if args else None
    adapters = getattr(settings, "lora_adapters", {})
    if settings is not None and wanted.adapter is not None and wanted.adapter not in adapters:
        return f"the application {wanted.application!r} has no LoRA adapter {wanted.adapter!r}"
    others = application_args(row.applications[0])
    task = ModelArgs.model_validate(others).root.task if others else None
    if settings is not None and task is not None and settings.task != task:
        return f"the task of {wanted.application!r} is {settings.task}, that of {row.name!r} is {task}"
    return None


def _end(model: str, state: Literal["promoted", "aborted"], reason: str) -> None:
    from deployments.canary.steps import confirm, end  # noqa: PLC0415

    trial = end(_row(model).name, state, reason)
    _refresh()
    confirm(trial)
    assert trial.ending is not None  # noqa: S101 - narrows the type
    click.echo(f"{trial.label} was {trial.state}: {trial.ending.reason}")


def _row(model: str) -> "Row":
    """What the routers say of a model, which must be the same."""
    from deployments.serve_internals import ask_all_routers  # noqa: PLC0415
    from router.canary.decisions import read_row  # noqa: PLC0415

    for _ in range(NUM_LOOKS):
        rows = ask_all_routers("canary_row", model)
        if not rows:
            raise click.ClickException("no router runs on this cluster")
        if all(row == rows[0] for row in rows):
            break
        time.sleep(LOOK_PAUSE_S)
    else:
        raise click.ClickException("the routers have different model tables: a deployment is under way, try again")
    if rows[0] is None:
        raise click.ClickException(f"the routers have no model {model!r}")
    return read_row(rows[0])


def _refresh() -> None:
    """Have all routers take over what was written; they would by themselves, within a second."""
    from deployments.serve_internals import ask_all_routers  # noqa: PLC0415

    try:
        ask_all_routers("step_canaries")
    except RuntimeError as error:
        click.echo(f"It is written; a router that could not be asked takes it over by itself: {error}", err=True)


def _on_cluster(address: str, do: Callable[[], T]) -> T:
    from deployments.canary.steps import StepError  # noqa: PLC0415

    with joined(address):
        try:
            return do()
        except StepError as error:
            raise click.ClickException(str(error)) from error
