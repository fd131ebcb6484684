"""The command line, made of the table of options beside this file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_TYPES: dict[str, Any] = {"text": str, "integer": int, "float": float, "path": click.Path()}


class AliasedChoice(click.Choice):
    """A choice with other names for its members, which help does not list."""

    def __init__(self, choices: list[str], aliases: dict[str, str]) -> None:
        super().__init__(choices)
        self._aliases = aliases

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return super().convert(self._aliases.get(value, value), param, ctx)


class ServeByDefault(click.Group):
    """`trtllm-serve MODEL` is `trtllm-serve serve MODEL`."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            return super().resolve_command(ctx, ["serve", *args])
        return super().resolve_command(ctx, args)


def create_command(table: Path, version: str, serve: Callable[..., None]) -> click.Group:
    data = json.loads(table.read_bytes())
    changes = data["versions"][version]
    group = ServeByDefault()
    for name, command in data["commands"].items():
        added = changes["added"] if name == "serve" else []
        callback = serve if name == "serve" else _not_played(name)
        parameters = [_parameter(one, changes) for one in (*command["params"], *added)]
        group.add_command(click.Command(name, callback=callback, params=parameters, help=command["help"]))
    return group


def _not_played(name: str) -> Callable[..., None]:
    def refuse(**_: Any) -> None:
        raise click.ClickException(f"this stand-in does not play {name}")

    return refuse


def _parameter(row: dict[str, Any], changes: dict[str, Any]) -> click.Parameter:
    if row.get("argument"):
        return click.Argument([row["name"]], type=str)
    flags = [flag for flag in row["flags"] if flag not in changes["removed_flags"]]
    kind = _TYPES.get(row["type"])
    if "choices" in row:
        removed = changes["removed_choices"].get(row["name"], [])
        kept = [choice for choice in row["choices"] if choice not in removed]
        kind = AliasedChoice(kept, {a: c for a, c in row.get("aliases", {}).items() if c in kept})
    if row.get("is_flag"):
        return click.Option([row["name"], *flags], is_flag=True, default=row["default"])
    is_multiple = bool(row.get("multiple"))
    default = None if is_multiple else row["default"]
    return click.Option([row["name"], *flags], type=kind, default=default, multiple=is_multiple)
