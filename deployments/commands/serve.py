"""`enginehouse serve FILE`: check, start, wait until every model answers, and leave nothing behind."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Self

import click
import yaml
from rich.console import Console

from configs.check import examine
from configs.router import ListenerSettings
from configs.serve_file import ServeFile
from deployments.commands.ranges import FiniteRange
from deployments.preflight import PortTakenError, first_key, refuse_taken_port
from deployments.service_manager import ServiceManager


class StopRequested(BaseException):
    """Ctrl-C or SIGTERM: a wish, not an error, so no `except Exception` may swallow it."""


@dataclass(slots=True, frozen=True)
class Options:
    """What was asked for on the command line."""

    file: Path
    address: str | None
    dashboard_port: int | None
    temp_dir: Path | None
    timeout_s: float
    is_detached: bool


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--address", envvar="RAY_ADDRESS", help="Serve on the Ray cluster there; default: on one of our own.")
@click.option(
    "--dashboard-port",
    type=click.IntRange(1, 65_535),
    help="Port of our own cluster's dashboard; default: 8265, or a free one.",
)
@click.option("--temp-dir", type=click.Path(path_type=Path, file_okay=False), help="Where our own cluster keeps files.")
@click.option(
    "--timeout", "timeout_s", type=FiniteRange(min=0, min_open=True), default=1800.0, show_default=True,
    help="Seconds until all models answer.",
)  # fmt: skip
@click.option("--detach", "is_detached", is_flag=True, help="With --address: return when every model answers.")
def serve(**options: Any) -> None:  # noqa: ANN401 - click gives each by its name; Options has the types
    """
    Check FILE, start what is in it, wait until every model answers, and serve until Ctrl-C or SIGTERM.

    Exit code 0: stopped on request, or detached. 1: FILE has errors, or something in it did not start; detached,
    whatever did start goes on. 2: wrong usage.
    """
    _run(Options(**options), Console(highlight=False))


def _run(options: Options, console: Console) -> None:
    if options.is_detached and not options.address:
        raise click.UsageError("--detach needs --address: a cluster of our own ends with this command")
    config = _checked(options.file, console)
    if not options.address:
        _refuse_taken_port(config)
    manager = ServiceManager()
    with _Signals() as signals:
        try:
            _serve(options, config, console, signals, manager)
        except StopRequested:
            console.print("Stopped." if not options.is_detached else "Stopped waiting; what was deployed goes on.")


def _checked(file: Path, console: Console) -> ServeFile:
    config, findings = examine(file, os.environ)
    for finding in findings:
        console.print(str(finding), markup=False, soft_wrap=True)
    if config is None or any(finding.severity == "error" for finding in findings):
        _fail(f"{file} has errors; nothing was started")
    return config


def _refuse_taken_port(config: ServeFile) -> None:
    try:
        refuse_taken_port(config.router_app().args.listener)
    except PortTakenError as error:
        _fail(str(error))


def _serve(options: Options, config: ServeFile, console: Console, signals: "_Signals", manager: ServiceManager) -> None:
    console.print("Starting Ray")
    # Importing Ray takes a second; a faulty file is told before.
    from deployments import local_cluster, serving  # noqa: PLC0415
    from deployments.router_client import RouterClient  # noqa: PLC0415
    from deployments.serve_internals import running_hosts  # noqa: PLC0415

    cluster = (
        local_cluster.existing_cluster(options.address)
        if options.address
        else local_cluster.own_cluster(options.dashboard_port, options.temp_dir)
    )
    router = config.router_app()
    key = first_key(router.args.api_keys)
    listener = router.args.listener

    def connect() -> RouterClient:
        hosts = running_hosts(router.name, "Router") if options.address else []
        return RouterClient(_base_url(listener, hosts), key)

    def take_down() -> None:
        manager.tell("STOPPING=1", "STATUS=Finishing running requests")
        serving.take_down(console, router.name, [model.name for model in config.model_apps()])

    try:
        with cluster as running, _stopping(signals, console, None if options.is_detached else take_down):
            document = yaml.safe_load(options.file.read_text(encoding="utf-8"))
            client = serving.bring_up(document, serving.read_plan(config), connect, console, options.timeout_s)
            serving.announce(client, running, console, needs_key=key is not None, is_watched=not options.is_detached)
            manager.tell("READY=1", f"STATUS=Serving at {client.base_url}")
            if not options.is_detached:
                serving.watch_over(console)
    except SystemExit as error:
        if error.code == signal.SIGTERM:  # Ray's own handler, while it starts
            raise StopRequested from None
        raise
    except (local_cluster.ClusterError, serving.DeployFailedError, OSError) as error:
        if signals.first_at is not None:  # a wish to stop that came out of Ray's code as an error
            raise StopRequested from None
        _fail(str(error))


class _Signals:
    """
    SIGINT and SIGTERM raise StopRequested in whatever is going on.

    A second one counts only after a second: terminals and supervisors often send the same signal twice.
    """

    def __init__(self) -> None:
        self.first_at: float | None = None

    def __enter__(self) -> Self:
        self.install()
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)

    def install(self) -> None:
        """Take the signals over, again where somebody else did."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def ignore(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.first_at is not None and now - self.first_at < 1:
            return
        self.first_at = now if self.first_at is None else self.first_at
        raise StopRequested


@contextmanager
def _stopping(signals: _Signals, console: Console, take_down: Callable[[], None] | None) -> Iterator[None]:
    """Take everything down at the end, whatever the reason for it; nothing where `take_down` is None."""
    signals.install()  # Ray has set handlers of its own
    try:
        yield
    except BaseException:
        if take_down is None:
            raise
        # Raised inside Ray's compiled code, StopRequested comes out as another exception.
        is_wanted = signals.first_at is not None
        if is_wanted:
            console.print("Stopping: running requests may finish. Ctrl-C again cuts them off.")
        try:
            take_down()
        except StopRequested:
            console.print("Cutting off.")
        except Exception as error:  # noqa: BLE001 - it must not hide why we are here
            console.print(f"Not everything could be taken down in order: {error}", markup=False)
        finally:
            signals.ignore()  # what is left ends within seconds
        if not is_wanted:
            raise


def _base_url(listener: ListenerSettings, hosts: Sequence[str]) -> str:
    """
    Where this machine reaches a router that listens on every address: by loopback, unless `hosts`, the nodes that
    have one, say better.
    """
    is_everywhere = listener.host in ("0.0.0.0", "::")  # noqa: S104
    host = (hosts[0] if hosts else "127.0.0.1") if is_everywhere else listener.host
    return f"http://[{host}]:{listener.port}/v1" if ":" in host else f"http://{host}:{listener.port}/v1"


def _fail(message: str) -> NoReturn:
    click.echo(f"enginehouse: {message}", err=True)
    sys.exit(1)
