"""`enginehouse editors [CLIENT]`: settings to paste, and whether the clients work with this cluster."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from deployments.commands.ranges import FiniteRange
from deployments.editors.asking import NeedsKeyError, Router, without_version
from deployments.editors.checking import Outcome, check
from deployments.editors.client import YOUR_KEY, Client, Key, Setup
from deployments.editors.registry import CLIENTS
from deployments.editors.step import Fault


@click.command()
@click.argument("client", required=False, type=click.Choice(list(CLIENTS)), metavar="[CLIENT]")
@click.option(
    "--address",
    metavar="URL",
    default="http://127.0.0.1:8000",
    show_default=True,
    help="The cluster, as the editor's machine reaches it; with or without /v1.",
)
@click.option("--key-env", metavar="NAME", help="Variable that holds the API key. Default: the cluster needs none.")
@click.option("--with-key", is_flag=True, help="Print the key itself instead of YOUR_KEY.")
@click.option("--check", "is_check", is_flag=True, help="Send each client's first requests, and report what fails.")
@click.option("--write", "is_write", is_flag=True, help="Write CLIENT's file, the key in it, where there is none yet.")
@click.option(
    "--timeout", "timeout_s", metavar="SECONDS", type=FiniteRange(min=0, min_open=True), default=120.0,
    show_default=True, help="Longest wait for one answer of --check.",
)  # fmt: skip
def editors(client: str | None, **options: Any) -> None:  # noqa: ANN401 - click's options, each typed where it is read
    """Print ready settings for editors, or for one CLIENT, with the models that this cluster has.

    CLIENT is copilot, huggingface, continue, cline, roo, kilo, llama-vscode, twinny, codex, claude-code or ollama.
    Nothing is sent to anywhere but the address. Warnings go to the standard error.

    Exit code 0: printed, or every check passed. 1: a check found a fault, the cluster cannot be asked, or a file is
    there already. 2: wrong usage.
    """
    chosen = [CLIENTS[client]] if client else list(CLIENTS.values())
    router = Router(_origin(options["address"]), options["timeout_s"])
    key = _key(options["key_env"])
    setup = Setup(router.origin, _models(router, key), key)
    if options["is_check"]:
        sys.exit(_check(chosen, setup, router))
    _warn(chosen, setup)
    if options["is_write"]:
        _write(chosen, setup)
        return
    shown = key if key is None or options["with_key"] else Key(key.env, YOUR_KEY)
    _print(chosen, Setup(setup.origin, setup.models, shown))


def _origin(address: str) -> str:
    try:
        return without_version(address)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--address") from None


def _key(variable: str | None) -> Key | None:
    if variable is None:
        return None
    text = os.environ.get(variable, "")
    if not text:
        raise click.BadParameter(f"the variable {variable} is not set, or empty", param_hint="--key-env")
    if not (text.isascii() and text.isprintable()):
        raise click.BadParameter(f"the key in {variable} has a line's end or a letter that no header can have",
                                 param_hint="--key-env")  # fmt: skip
    return Key(variable, text)


def _models(router: Router, key: Key | None) -> Sequence[Any]:
    headers = {"Authorization": f"Bearer {key.text}"} if key else {}
    try:
        return router.models(headers)
    except NeedsKeyError:
        hint = f"does not accept the key in {key.env}" if key else "asks for a key: name its variable with --key-env"
        raise click.ClickException(f"the router at {router.origin} {hint}") from None
    except Fault as fault:
        raise click.ClickException(f"the router at {router.origin} cannot be asked for its models: {fault}") from None


# settings


def _print(clients: Sequence[Client], setup: Setup) -> None:
    for client in clients:
        click.echo(f"# {client.title}")
        for part in client.settings(setup):
            click.echo(f"\n# {part.where}\n{part.text.rstrip()}")
        click.echo()


def _warn(clients: Sequence[Client], setup: Setup) -> None:
    roles = list(dict.fromkeys(role for client in clients for role in client.roles))
    for warning in dict.fromkeys(setup.picks.warnings(roles)):
        click.echo(f"warning: {warning}", err=True)


def _write(clients: Sequence[Client], setup: Setup) -> None:
    """A file that is made here belongs to its user alone: it holds a key."""
    if len(clients) != 1:
        raise click.UsageError("--write needs a CLIENT.")
    files = [part for part in clients[0].settings(setup) if part.home_file]
    if not files:
        raise click.UsageError(f"{clients[0].title} has no file of its own that could be written: paste its settings.")
    for part in files:
        path = Path.home() / str(part.home_file)
        try:
            _write_new(path, part.text.rstrip() + "\n")
        except OSError as error:
            raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None
        click.echo(f"wrote {path}")


def _write_new(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise click.ClickException(f"{path} is there already; it was left alone. Print the settings instead.") from None
    with open(number, "w", encoding="utf-8") as file:  # noqa: PTH123 - of a descriptor
        file.write(text)


# the check


def _check(clients: Sequence[Client], setup: Setup, router: Router) -> int:
    counts = dict.fromkeys(Outcome, 0)
    for client in clients:
        click.echo(client.title)
        for report in check(client, setup, router.ask):
            counts[report.outcome] += 1
            reason = f": {_without_key(report.reason, setup)}" if report.reason else ""
            click.echo(f"  {report.outcome.value:<5} {report.title}{reason}")
    click.echo(", ".join(f"{count} {_WORDS[outcome]}" for outcome, count in counts.items() if count))
    return int(counts[Outcome.FAULTY] > 0)


_WORDS = {
    Outcome.PASSED: "passed",
    Outcome.LIMITED: "beyond the model",
    Outcome.SKIPPED: "skipped",
    Outcome.FAULTY: "with a fault",
}


def _without_key(text: str, setup: Setup) -> str:
    if setup.key is None:
        return text
    return text.replace(setup.key.text, YOUR_KEY).replace(quote(setup.key.text, safe=""), YOUR_KEY)
