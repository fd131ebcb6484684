"""The command `enginehouse`. Each subcommand is imported when it is called: `check` needs no Ray."""

import importlib

import click

COMMANDS = {
    "batch": "deployments.commands.batch",
    "cache": "deployments.commands.cache",
    "canary": "deployments.commands.canary",
    "check": "deployments.commands.check",
    "route": "deployments.commands.route",
    "schema": "deployments.commands.schema",
    "serve": "deployments.commands.serve",
    "status": "deployments.commands.status",
    "doctor": "deployments.commands.doctor",
    "editors": "deployments.commands.editors",
    "weights": "deployments.commands.weights",
    "build": "deployments.commands.build",
}
"""Each subcommand's module; its function of the same name is the command."""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[cmd_name]), cmd_name)
        return command


@click.group(cls=_LazyGroup)
@click.version_option(package_name="enginehouse")
def main() -> None:
    """Many models, on several inference engines, behind one OpenAI-compatible address, on a Ray cluster."""


if __name__ == "__main__":
    main()
