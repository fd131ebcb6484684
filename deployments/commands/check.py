import dataclasses
import json
import os
import sys

import click

from configs.check import check as check_file
from configs.finding import Finding


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--format", "output", type=click.Choice(["text", "json"]), default="text", help="How findings are printed."
)
def check(files: tuple[str, ...], output: str) -> None:
    """Find what is wrong with configuration files, offline and without starting anything.

    Exit code 0: no errors, though perhaps warnings. 1: errors. 2: wrong usage.
    """
    findings = [finding for file in files for finding in check_file(file, os.environ)]
    if output == "json":
        click.echo(json.dumps([dataclasses.asdict(each) for each in findings], indent=2))
    else:
        for finding in findings:
            click.echo(str(finding))
        click.echo(_summary(len(files), findings))
    sys.exit(any(each.severity == "error" for each in findings))


def _summary(num_files: int, findings: list[Finding]) -> str:
    num_errors = sum(each.severity == "error" for each in findings)
    num_warnings = len(findings) - num_errors
    return f"{_count(num_files, 'file')} checked: {_count(num_errors, 'error')}, {_count(num_warnings, 'warning')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
