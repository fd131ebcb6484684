"""Each client has a page, and what stands there to paste is what the command prints."""

import re
from pathlib import Path

import pytest

from deployments.editors.client import YOUR_KEY, Key, Setup
from deployments.editors.offered import OfferedModel
from deployments.editors.registry import CLIENTS

PAGES = Path(__file__).parents[3] / "docs/how-to/editors"
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


def test_every_client_is_in_the_index() -> None:
    """With its page, and the name that is typed."""
    rows = re.findall(r"^\| \[.*?\]\(([\w-]+)\.md\) \| `([\w-]+)` \|", (PAGES / "index.md").read_text(), re.MULTILINE)
    assert sorted((name, name) for name in CLIENTS) == sorted(rows)
