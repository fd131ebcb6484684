"""`enginehouse cache`: what a running house keeps, and making it forget."""

from collections.abc import Mapping
from typing import Any

import click

from deployments.commands.asking_routers import ask_routers

_address = click.option(
    "--address", envvar="RAY_ADDRESS", default="auto", help="The Ray cluster that serves; default: that of this node."
)


@click.group()
def cache() -> None:
    """Look into the response cache of a running house, or empty it."""


@cache.command()
@_address
def stats(address: str) -> None:
    """Print what each router's store holds and how often it helped. Routers on one Redis show one store."""
    for number, answer in enumerate(ask_routers(address, "cache_stats"), start=1):
        words = ", ".join(_in_words(answer)) or "not open yet"
        click.echo(f"router {number}: {words}")


@cache.command()
@click.option("--model", help="Only the answers of this model, by its name in the model table.")
@click.option("--namespace", help="Only the answers of this namespace.")
@_address
def purge(model: str | None, namespace: str | None, address: str) -> None:
    """Forget kept answers: all of them, or those of a model or a namespace. Answers being made are not touched."""
    if model is not None and namespace is not None:
        raise click.UsageError("--model and --namespace cannot be given together")
    num_forgotten = sum(ask_routers(address, "purge_cache", model, namespace))
    click.echo(f"{num_forgotten} answers forgotten")


def _in_words(stats: Mapping[str, Any]) -> list[str]:
    return [f"{name.replace('_', ' ')} {value}" for name, value in stats.items() if value is not None]
