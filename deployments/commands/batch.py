"""`enginehouse batch FILE`: a file of requests, answered in the slack of a running house."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from configs.batches import MAX_FILE_BYTES, MAX_LINES
from deployments.batch_client import BatchClient, BatchClientError
from router.batches.lines import FileCheck, is_endpoint

ENDED = ("completed", "failed", "expired", "cancelled")
POLL_S = 0.5
"""How often the house is asked how far it is, in seconds."""
PATIENCE_S = 120.0
"""How long the house may be silent while a batch runs, in seconds: a restart takes less."""
_MAX_LINE_BYTES = 16_777_216
_MAX_TOLD = 10


@dataclass(frozen=True, slots=True)
class Targets:
    """Where results go."""

    output: Path
    errors: Path


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option(
    "--address", envvar="ENGINEHOUSE_ADDRESS", default="http://127.0.0.1:8000", show_default=True,
    help="Address of the router, as http://HOST:PORT.",
)  # fmt: skip
@click.option(
    "--api-key-env", default="ENGINEHOUSE_API_KEY", show_default=True, help="Variable that holds your API key."
)
@click.option("--endpoint", help="Route of the requests; default: the `url` of the file's first line.")
@click.option("--window", default="24h", show_default=True, help="Time that the house has for it: 30m, 24h, 7d.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Where answers go; errors go beside.")
@click.option("--resume", metavar="ID", help="Watch a batch that was begun before, and fetch its results.")
@click.option("--cancel", metavar="ID", help="Cancel a batch; what was answered is kept.")
def batch(**options: Any) -> None:  # noqa: ANN401 - click gives each by its name
    """
    Answer the requests in FILE, one JSON object a line as in OpenAI's Batch API, and write the answers beside it.

    Ctrl-C stops the watching, not the batch. Exit code 0: every line was answered. 1: FILE has errors, or some lines
    failed, or the batch did not come to its end. 2: wrong usage.
    """
    file, resumed, cancelled = options["file"], options["resume"], options["cancel"]
    if (resumed is not None) + (cancelled is not None) > 1:
        raise click.UsageError("--resume and --cancel cannot be given together")
    if file is None and resumed is None and cancelled is None:
        raise click.UsageError("name a FILE, or --resume or --cancel a batch by its id")
    console = Console(highlight=False, stderr=True)
    client = _client(options["address"], options["api_key_env"])
    try:
        if cancelled is not None:
            click.echo(f"{cancelled}: {client.cancel(cancelled)['status']}")
            return
        targets = _targets(file, options["output"], resumed)
        if resumed is None:
            resumed = _begin(client, file, options["endpoint"], options["window"], console)
        else:
            client.find(resumed)  # a wrong address is told at once; later on, a router that is away is waited for
        _watch(client, resumed, targets, console)
    except BatchClientError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{options['address']}: {error}")


def _client(address: str, key_env: str) -> BatchClient:
    if not address.startswith(("http://", "https://")):
        raise click.UsageError("--address must begin with http:// or https://")
    base = address.rstrip("/")
    return BatchClient(base if base.endswith("/v1") else f"{base}/v1", os.environ.get(key_env) or None)


def _targets(file: Path | None, output: Path | None, batch_id: str | None) -> Targets:
    stem = file.with_suffix("") if file is not None else Path(str(batch_id))
    whole = output or stem.with_name(f"{stem.name}.output.jsonl")
    name = f"{whole.stem.removesuffix('.output')}.errors.jsonl"
    targets = Targets(whole, whole.with_name(name))
    for path in (targets.output, targets.errors):
        if path.exists():
            raise click.UsageError(f"{path} is there already: move it away, or name another with --output")
    return targets


def _begin(client: BatchClient, file: Path, endpoint: str | None, window: str, console: Console) -> str:
    route = endpoint or _first_url(file)
    _check(file, route, console)
    client.ask_whether_welcome()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=console) as progress:
        sending = progress.add_task("uploading", total=file.stat().st_size)
        file_id = client.upload(file, lambda num_bytes: progress.advance(sending, num_bytes))
    batch_id: str = client.create(file_id, route, window)["id"]
    console.print(f"Batch {batch_id}", markup=False)
    return batch_id


def _first_url(file: Path) -> str:
    with file.open("rb") as content:
        first = next((text for text in content if text.strip()), b"")
    try:
        url = orjson.loads(first)["url"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        _fail(f"{file}: the first line names no `url`; it must be a request as in OpenAI's Batch API")
    return str(url)


def _check(file: Path, endpoint: str, console: Console) -> None:
    """Everything that can be known here is told before a byte goes out."""
    if not is_endpoint(endpoint):
        _fail(f"{file}: there is no endpoint {endpoint!r}")
    if file.stat().st_size > MAX_FILE_BYTES:
        _fail(f"{file} has more than {MAX_FILE_BYTES} bytes: split it")
    check = FileCheck(endpoint, MAX_LINES, _MAX_LINE_BYTES)
    with file.open("rb") as content:
        while (part := content.read(1_048_576)) and not check.is_hopeless:
            check.feed(part)
    faults = check.finish(0).faults
    for fault in faults[:_MAX_TOLD]:
        place = f"{file}:{fault.line}" if fault.line else str(file)
        console.print(f"{place}: {fault.param + ': ' if fault.param else ''}{fault.message}", markup=False)
    if faults:
        _fail(f"{file} has errors; nothing was sent")


def _watch(client: BatchClient, batch_id: str, targets: Targets, console: Console) -> None:
    try:
        found = _until_ended(client, batch_id, console)
    except KeyboardInterrupt:
        console.print(
            f"\nThe batch goes on without you. Come back with `enginehouse batch --resume {batch_id}`, or end it with "
            f"`enginehouse batch --cancel {batch_id}`.",
            markup=False,
        )
        sys.exit(130)
    for file_id, path in ((found["output_file_id"], targets.output), (found["error_file_id"], targets.errors)):
        if file_id is not None:
            client.download(file_id, path)
            console.print(f"Written: {path}", markup=False)
    counts = found["request_counts"]
    for fault in ((found.get("errors") or {}).get("data") or [])[:_MAX_TOLD]:
        place = f"line {fault['line']}: " if fault.get("line") else ""
        console.print(f"{place}{fault['message']}", markup=False)
    console.print(f"{found['status']}: {counts['completed']} of {counts['total']} answered, {counts['failed']} failed")
    if found["status"] != "completed" or counts["failed"]:
        sys.exit(1)


def _until_ended(client: BatchClient, batch_id: str, console: Console) -> dict[str, Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    heard_at = time.monotonic()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("validating", total=None)
        while True:
            try:
                found = client.find(batch_id)
            except OSError:
                if time.monotonic() - heard_at > PATIENCE_S:
                    raise
                progress.update(task, description="the router is away")
            else:
                heard_at = time.monotonic()
                counts = found["request_counts"]
                num_done = counts["completed"] + counts["failed"]
                progress.update(task, description=found["status"], completed=num_done, total=counts["total"] or None)
                if found["status"] in ENDED:
                    return found
            time.sleep(POLL_S)


def _fail(message: str) -> NoReturn:
    click.echo(f"enginehouse: {message}", err=True)
    sys.exit(1)
