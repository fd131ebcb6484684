"""Each client has a page, and what stands there to paste is what the command prints."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from deployments.editors.client import YOUR_KEY, Key, Setup
from deployments.editors.offered import OfferedModel
from deployments.editors.registry import CLIENTS

ROOT = Path(__file__).parents[3]
PAGES = ROOT / "docs/how-to/editors"
TESTED = {
    "claude-code": "@anthropic-ai/claude-code",
    "codex": "@openai/codex",
    "cline": "cline",
    "continue": "@continuedev/cli",
}
"""The package of the program that each page says was tested."""
WRITTEN_BY_HAND = {"claude-code", "codex"}
"""These pages say more in their settings than the command does."""

DOCUMENTED = Setup(
    "http://HOST:8000",
    [
        OfferedModel("chat", 131_072, capabilities=frozenset({"tools"})),
        OfferedModel("fim", 32_768, capabilities=frozenset({"insert"})),
        OfferedModel("vectors", 8192, "embed"),
        OfferedModel("ranks", 8192, "rerank"),
    ],
    Key("ENGINEHOUSE_KEY", YOUR_KEY),
)


@pytest.mark.parametrize("name", sorted(CLIENTS.keys() - WRITTEN_BY_HAND))
def test_the_settings_of_a_page_are_those_that_are_printed(name: str) -> None:
    """Every part of them, each in a block of its own."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", (PAGES / f"{name}.md").read_text(), re.DOTALL | re.MULTILINE)
    assert [part.text.rstrip() + "\n" for part in CLIENTS[name].settings(DOCUMENTED)] == blocks


def test_the_variables_of_claude_codes_page_are_those_that_are_printed() -> None:
    """As exports of a shell, each with its reason; the command prints a file."""
    [part] = CLIENTS["claude-code"].settings(DOCUMENTED)
    exported = re.findall(r"^export (\w+)=", (PAGES / "claude-code.md").read_text(), re.MULTILINE)
    assert list(json.loads(part.text)["env"]) == exported


def test_the_settings_of_codexs_page_are_those_that_are_printed() -> None:
    """With the reasons beside them, and an alias in place of the model."""
    [part] = CLIENTS["codex"].settings(DOCUMENTED)
    [block] = re.findall(r"^```toml\n(.*?)^```", (PAGES / "codex.md").read_text(), re.DOTALL | re.MULTILINE)
    assert {**tomllib.loads(part.text), "model": "default"} == tomllib.loads(block)


def test_every_client_is_in_the_index() -> None:
    """With its page, and the name that is typed."""
    rows = re.findall(r"^\| \[.*?\]\(([\w-]+)\.md\) \| `([\w-]+)` \|", (PAGES / "index.md").read_text(), re.MULTILINE)
    assert sorted((name, name) for name in CLIENTS) == sorted(rows)


@pytest.mark.parametrize("name", sorted(TESTED))
def test_the_version_that_a_page_names_is_the_one_that_is_installed(name: str) -> None:
    """By `make test-clients`."""
    pins = "".join((ROOT / "requirements/npm" / file).read_text() for file in ("clients.txt", "continue.txt"))
    [pinned] = re.findall(rf"^{re.escape(TESTED[name])}@(\S+)$", pins, re.MULTILINE)
    assert [pinned] == re.findall(r"Tested with \D*?([\d.]+\d)", (PAGES / f"{name}.md").read_text())
