"""`enginehouse serve FILE`: check, start, wait until every model answers, and leave nothing behind."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn, Self

import click
import yaml
from rich.console import Console

from configs.check import examine
from configs.router import LOOPBACK_HOSTS, ListenerSettings
from configs.serve_file import ServeFile
from deployments.preflight import PortTakenError, first_key, refuse_taken_port


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


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--address", envvar="RAY_ADDRESS", help="Serve on the Ray cluster there; default: on one of our own.")
@click.option("--dashboard-port", type=int, help="Port of our own cluster's dashboard; default: 8265, or a free one.")
@click.option("--temp-dir", type=click.Path(path_type=Path, file_okay=False), help="Where our own cluster keeps files.")
@click.option("--timeout", "timeout_s", default=1800.0, show_default=True, help="Seconds until all models answer.")
def serve(file: Path, address: str | None, dashboard_port: int | None, temp_dir: Path | None, timeout_s: float) -> None:
    """
    Check FILE, start what is in it, wait until every model answers, and serve until Ctrl-C.

    Exit code 0: stopped on request. 1: FILE has errors, or something in it did not start. 2: wrong usage.
    """
    console = Console(highlight=False)
    config = _checked(file, console)
    if not address:
        _refuse_taken_port(config)
    with _Signals() as signals:
        with suppress(StopRequested):
            _serve(Options(file, address, dashboard_port, temp_dir, timeout_s), config, console, signals)
        console.print("Stopped.")


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


def _serve(options: Options, config: ServeFile, console: Console, signals: "_Signals") -> None:
    console.print("Starting Ray")
    # Importing Ray takes a second; a faulty file is told before.
    from deployments import local_cluster, serving  # noqa: PLC0415
    from deployments.router_client import RouterClient  # noqa: PLC0415

    cluster = (
        local_cluster.existing_cluster(options.address)
        if options.address
        else local_cluster.own_cluster(options.dashboard_port, options.temp_dir)
    )
    router = config.router_app()
    key = first_key(router.args.api_keys)
    client = RouterClient(_base_url(router.args.listener), key)

    def take_down() -> None:
        serving.take_down(console, router.name, [model.name for model in config.model_apps()])

    try:
        with cluster as running, _stopping(signals, console, take_down):
            serving.bring_up(
                yaml.safe_load(options.file.read_text(encoding="utf-8")), client, console, options.timeout_s
            )
            serving.announce(client, running, console, needs_key=key is not None)
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
def _stopping(signals: _Signals, console: Console, take_down: Callable[[], None]) -> Iterator[None]:
    """Take everything down at the end, whatever the reason for it."""
    signals.install()  # Ray has set handlers of its own
    try:
        yield
    except BaseException:
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


def _base_url(listener: ListenerSettings) -> str:
    """Where this machine reaches the router: by loopback, when it listens on every address."""
    host = listener.host if listener.host in LOOPBACK_HOSTS or listener.host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
    return f"http://[{host}]:{listener.port}/v1" if ":" in host else f"http://{host}:{listener.port}/v1"


def _fail(message: str) -> NoReturn:
    click.echo(f"enginehouse: {message}", err=True)
    sys.exit(1)
