"""Asking a running house, for subcommands. Through Ray, not through the routers' own door: a client is no operator."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click


@contextmanager
def joined(address: str) -> Iterator[None]:
    """
    Within it, the house on the cluster at `address` can be asked.

    Raises:
        click.ClickException: there is no such cluster, or somebody there did not answer.
    """
    # Importing Ray takes a second; a wrong option is told before.
    from ray.exceptions import RayError  # noqa: PLC0415

    from deployments.local_cluster import ClusterError, existing_cluster  # noqa: PLC0415

    try:
        with existing_cluster(address):
            yield
    except (ClusterError, RayError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error


def ask_routers(address: str, method: str, *arguments: object) -> Sequence[Any]:
    """Every router's answer."""
    with joined(address):
        return answers_of_routers(address, method, *arguments)


def answers_of_routers(address: str, method: str, *arguments: object) -> Sequence[Any]:
    """The same, of a cluster that was joined."""
    from deployments.serve_internals import ask_all_routers  # noqa: PLC0415

    answers = ask_all_routers(method, *arguments)
    if not answers:
        raise click.ClickException(f"no router runs on the cluster at {address}")
    return answers
