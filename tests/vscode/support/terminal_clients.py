"""Clients that work in a terminal, set up in a home of their own as `enginehouse editors` prints."""

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from coding_endpoint import CONTEXT, QUESTION
from vscode_house import KEY

from deployments.editors.client import Key, Setup
from deployments.editors.offered import OfferedModel
from deployments.editors.registry import CLIENTS

MODULES = Path(os.environ.get("ENGINEHOUSE_TEST_CLIENTS", "")) / "node_modules"
PROGRAMS = {
    "claude": "@anthropic-ai/claude-code-*/claude",
    "codex": "@openai/codex-*/vendor/*/bin/codex",
    "cline": ".bin/cline",
    "cn": ".bin/cn",
}
COMMANDS = {
    "claude": f'claude "{QUESTION}"',
    "codex": f'codex "{QUESTION}"',
    "cline": f'cline "{QUESTION}" 2> warnings.txt',
    "cn": f'cn --config ~/.continue/config.yaml "{QUESTION}"',
}
"""What a user types. Cline warns of its own libraries at every request."""
_KEY = Key("ENGINEHOUSE_KEY", KEY)

_CODEX_ANSWERS = "check_for_update_on_startup = false\n"


def set_up(home: Path, workspace: Path, port: int) -> None:
    """Files of a user who has answered what the programs ask at first; Cline takes `cline_arguments`."""
    setup = _setup(port)
    for name in ("claude-code", "codex", "continue"):
        [settings] = CLIENTS[name].settings(setup)
        file = home / str(settings.home_file)
        file.parent.mkdir(exist_ok=True)
        file.write_text(settings.text, encoding="utf-8")
    codex = home / ".codex/config.toml"
    project = f'\n[projects.{json.dumps(str(workspace))}]\ntrust_level = "trusted"\n'
    codex.write_text(_CODEX_ANSWERS + codex.read_text(encoding="utf-8") + project, encoding="utf-8")
    trusted = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
    claude = {"hasCompletedOnboarding": True, "theme": "dark", "projects": {str(workspace): trusted}}
    (home / ".claude.json").write_text(json.dumps(claude), encoding="utf-8")
    (home / "bin").mkdir()
    for name, pattern in PROGRAMS.items():
        [program] = MODULES.glob(pattern)
        (home / "bin" / name).symlink_to(program)


def cline_arguments(port: int) -> list[str]:
    """What sets Cline up, as it is printed."""
    _, printed = CLIENTS["cline"].settings(_setup(port))
    return shlex.split(printed.text)[1:]


def search_path(home: Path) -> str:
    """Where a shell finds the programs."""
    return f"{home}/bin:{os.environ['PATH']}"


def terminal_settings(home: Path) -> Mapping[str, object]:
    """VS Code's: a shell with a bare prompt, whose text is in the page, and which finds the programs."""
    environment = {"PS1": "$ ", "PATH": search_path(home), _KEY.env: _KEY.text}
    shell = {"path": "/bin/bash", "args": ["--norc"], "env": environment}
    return {
        "terminal.integrated.profiles.linux": {"plain": shell},
        "terminal.integrated.defaultProfile.linux": "plain",
        "terminal.integrated.gpuAcceleration": "off",
        "terminal.integrated.shellIntegration.enabled": False,
        "workbench.secondarySideBar.defaultVisibility": "hidden",
    }


def _setup(port: int) -> Setup:
    model = OfferedModel("coder", CONTEXT, capabilities=frozenset({"tools"}))
    return Setup(f"http://127.0.0.1:{port}", [model], _KEY)
