"""Asking every router of a running house, for subcommands."""

import logging
from collections.abc import Sequence
from typing import Any

import click


def ask_routers(address: str, method: str, *arguments: object) -> Sequence[Any]:
    """Every router's answer. Through Ray, not through the routers' own door: a client is no operator."""
    # Importing Ray takes a second; a wrong option is told before.
    from deployments.local_cluster import ClusterError, existing_cluster  # noqa: PLC0415
    from deployments.serve_internals import ask_all_routers  # noqa: PLC0415

    quiet_ray()
    try:
        with existing_cluster(address):
            answers = ask_all_routers(method, *arguments)
    except (ClusterError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error
    if not answers:
        raise click.ClickException(f"no router runs on the cluster at {address}")
    return answers


def quiet_ray() -> None:
    """Keep Ray's words from among a command's own."""
    logging.getLogger("ray.serve").setLevel(logging.WARNING)  # it tells how it asks, among the answers
    # It advises at each question to do without the cluster's token, where one is used.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
