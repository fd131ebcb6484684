"""`enginehouse doctor --parity`: whether two servers of one model are the same to their clients."""

import os
from collections.abc import Sequence

import aiohttp
import click
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table

from configs.engines.addresses import HttpAddress
from deployments.conformance.parity import Comparison, compare
from deployments.conformance.subject import CHAT, Reply, Subject

WORDS = {True: "[green]same[/]", False: "[bold red]differs[/]", None: "[dim]told[/]"}
TIMEOUT_S = 300.0


def parse_server(text: str) -> tuple[str, str]:
    """
    The model and the address in `MODEL@URL`. A trailing `/v1` of the address may be there or not.

    Raises:
        click.UsageError: it is not of that form.
    """
    model, at, url = text.rpartition("@")
    try:
        address = TypeAdapter(HttpAddress).validate_python(url)
    except ValidationError as error:
        raise click.UsageError(f"--parity {text}: the address {error.errors()[0]['ctx']['error']}") from error
    if not at or not model:
        raise click.UsageError(f"--parity {text}: must be MODEL@URL, such as smollm2@http://127.0.0.1:8000/v1")
    return model, address.removesuffix("/v1")


async def compare_servers(servers: Sequence[tuple[str, str]], key_env: str) -> list[Comparison]:
    key = os.environ.get(key_env, "")
    headers = {"x-enginehouse-cache": "off"}  # a router of ours shall ask its engine
    if key:
        headers["Authorization"] = f"Bearer {key}"
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    (first_model, first_url), (second_model, second_url) = servers
    async with (
        aiohttp.ClientSession(first_url, headers=headers, timeout=timeout) as first,
        aiohttp.ClientSession(second_url, headers=headers, timeout=timeout) as second,
    ):
        subjects = Subject(first, first_model), Subject(second, second_model)
        replies = [await _first_reply(subject, server) for subject, server in zip(subjects, servers, strict=True)]
        if all(reply.status != 200 for reply in replies):
            told = ", ".join(f"{reply.status} {reply.body.decode(errors='replace')[:200]}" for reply in replies)
            raise click.ClickException(f"--parity: neither server answers a chat, so nothing can be compared: {told}")
        return await compare(*subjects)


async def _first_reply(subject: Subject, server: tuple[str, str]) -> Reply:
    """
    Raises:
        click.ClickException: no server is there.
    """
    try:
        return await subject.post(CHAT, {"messages": [{"role": "user", "content": "Hello."}], "max_tokens": 1})
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise click.ClickException(
            f"--parity {'@'.join(server)}: no answer: {error or type(error).__name__}"
        ) from error


def show(console: Console, names: Sequence[str], comparisons: Sequence[Comparison]) -> bool:
    """Whether everything that is judged is the same."""
    table = Table("", "", *names, box=None)
    for each in comparisons:
        table.add_row(each.subject, WORDS[each.is_equal], each.first, each.second)
    console.print(table)
    differences = [each for each in comparisons if each.is_equal is False]
    judged = [each for each in comparisons if each.is_equal is not None]
    console.print(f"{len(judged) - len(differences)} of {len(judged)} the same")
    return not differences
