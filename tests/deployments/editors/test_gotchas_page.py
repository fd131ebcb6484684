"""The list of what editors stumble over is whole, and each line names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
ROWS = re.findall(r"^\| (G\d+) \|.*\| (.*) \|$", (ROOT / "docs/reference/editors.md").read_text(), re.MULTILINE)


def test_every_line_names_a_test() -> None:
    """G1 to G17, in order."""
    assert [(f"G{number}", True) for number in range(1, 18)] == [(name, "::test_" in tests) for name, tests in ROWS]


def test_every_test_that_is_named_exists() -> None:
    """In the file that is named."""
    named = {tuple(test.split("::")) for _, tests in ROWS for test in re.findall(r"`(tests/[^`]+)`", tests)}
    missing = [f"{file}::{test}" for file, test in named if not re.search(rf"def {test}\(", (ROOT / file).read_text())]
    assert [] == sorted(missing)
