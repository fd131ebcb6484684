"""Which client sent a request, by its headers. Pure."""

from collections.abc import Iterable, Sequence

from configs.routing import Editor

_USER_AGENTS: Sequence[tuple[bytes, Editor]] = (
    (b"githubcopilotchat/", "copilot"),
    (b"codex", "codex"),  # codex_cli_rs/, codex_vscode/
    (b"claude-cli/", "claude_code"),
    (b"cline/", "cline"),
    (b"roocode/", "roo_code"),
    (b"kilo-code/", "kilo_code"),
)
"""
How each client's `user-agent` begins, in lower case.

Source: Copilot Chat 0.67 as it was seen on the wire; the others' own source: codex-rs `default_client.rs`, Roo Code and
Kilo Code `api/providers/constants.ts`, and what proxies for Claude Code and Cline 3 send in their place.
"""
_TITLES: Sequence[tuple[bytes, Editor]] = ((b"cline", "cline"), (b"roo code", "roo_code"), (b"kilo code", "kilo_code"))
"""The same of `x-title`, which these send where their HTTP library sets the other header."""


def user_agent_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """In lower case; empty where there is none."""
    return _first(headers, b"user-agent")


def editor_of(headers: Sequence[tuple[bytes, bytes]]) -> Editor | None:
    """None where the headers do not say."""
    return _known(user_agent_of(headers), _USER_AGENTS) or _known(_first(headers, b"x-title"), _TITLES)


def _known(value: bytes, table: Sequence[tuple[bytes, Editor]]) -> Editor | None:
    return next((editor for beginning, editor in table if value.startswith(beginning)), None)


def _first(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    return next((value for name, value in headers if name == wanted), b"").lower()
