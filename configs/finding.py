"""What a check of a configuration file finds, and how it is said."""

import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

KeyPath = tuple[str | int, ...]
"""Where a value is: the keys and list indices that lead to it from the top of the file."""

Severity = Literal["error", "warning"]

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at a key path. With its place in a file it is a finding."""

    path: KeyPath
    message: str
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    file: str
    line: int
    """From 1. For a key that is missing: the line of what it is missing from."""
    column: int
    """From 1."""
    key: str
    """The key path, as in `applications[1].args.engine`. Empty for the file as a whole."""
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        subject = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {subject}{self.message}"


class ConfigError(ValueError):
    """A configuration file has errors; its text lists them, one a line."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(map(str, self.findings)))

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[tuple[Finding, ...]]]:
        return type(self), (self.findings,)


def key_path_text(path: KeyPath) -> str:
    """`path` as a person writes it; keys with other characters than letters, digits, `_` and `-` are quoted."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif _PLAIN_KEY.fullmatch(key):
            text += f".{key}" if text else key
        else:
            text += f'["{key}"]' if key.isprintable() else f"[{json.dumps(key)}]"
    return text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` with the nearest of the known names, or nothing when none is near."""
    by_lower_case = {each.lower(): each for each in known}
    nearest = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f"; did you mean {by_lower_case[nearest[0]]!r}?" if nearest else ""
