"""`enginehouse status`: whether the routers took over the last model table. `serve status` cannot show it."""

import datetime as dt
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from deployments.commands.asking_routers import answers_of_routers, joined

if TYPE_CHECKING:  # importing Ray takes a second; a wrong option is told before
    from deployments.rollout import Progress


@click.command()
@click.option(
    "--address", envvar="RAY_ADDRESS", default="auto", help="The Ray cluster that serves; default: that of this node."
)
def status(address: str) -> None:
    """Print which applications do not run, and why; which names each router serves, why it refused the last model
    table, where it did, which of the models that take turns on a GPU are awake, and which replicas it passes over.

    Exit code 0: every router has the table that was deployed last, and it fits the engines that there are. 1: one of
    them refused it, or has one that does not fit, or cannot be asked.
    """
    with joined(address):
        for line in _trouble():
            click.echo(line)
        answers = answers_of_routers(address, "table_status")
    for number, answer in enumerate(answers, start=1):
        for line in status_lines(answer):
            click.echo(f"router {number}: {line}")
    sys.exit(any(answer["refused"] for answer in answers))


def _trouble() -> list[str]:
    from deployments.serving import read_all_progress  # noqa: PLC0415  Ray, as above

    return trouble_lines(read_all_progress())


def trouble_lines(progress: "Sequence[Progress]") -> list[str]:
    """Why an application does not run: before what the routers say, for one that does not run says nothing."""
    lines: list[str] = []
    for one in progress:
        if one.stage != "running":
            lines.append(f"{one.application}: {one.detail}")
            lines += [f"  {line}" for line in one.reason.splitlines()]
    return lines


def status_lines(answer: Mapping[str, Any]) -> list[str]:
    lines = [f"serves {', '.join(answer['names']) or 'no model'}"]
    refused = answer["refused"]
    if refused is not None:
        at = dt.datetime.fromtimestamp(refused["at"], dt.UTC).isoformat(sep=" ", timespec="seconds")
        lines.append(
            f"its table does not fit, as was found at {at}:"
            if refused["is_in_force"]
            else f"refused the table of {at}, the one before it stays in force:"
        )
        lines += [f"  {line}" for line in refused["reason"].splitlines()]
    # A router of an older version has none.
    return lines + turn_lines(answer["turns"], time.time()) + doubt_lines(answer.get("doubts", ()))


def doubt_lines(doubts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The replicas that a router passes over, one a line, though both its doors may have met the same one."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for doubt in doubts:
        told = reasons.setdefault((doubt["model"], doubt["replica_id"]), [])
        for reason, words in (("is_failing", "lost or failing"), ("may_stand_still", "may stand still")):
            if doubt[reason] and words not in told:
                told.append(words)
    return [f"passes over {model} {replica}: {', '.join(told)}" for (model, replica), told in reasons.items()]


def turn_lines(turns: Sequence[Mapping[str, Any]], now: float) -> list[str]:
    """Who is awake of each group of models that take turns, and for how long. `now` is in seconds since 1970."""
    groups: dict[str, list[str]] = {}
    for turn in turns:
        words = f"{turn['model']} {turn['state']} for {max(0.0, now - turn['since']):.0f} s"
        groups.setdefault(turn["group"], []).append(words)
    return [f"group {group}: {', '.join(words)}" for group, words in groups.items()]
