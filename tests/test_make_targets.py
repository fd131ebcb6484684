"""Each suite's make target looks into the folders of its tests only: to collect all tests takes too long."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TARGETS = re.findall(r"-m pytest -m (\w+) (tests/.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_suite_has_a_target() -> None:
    """Those that `make test` leaves out."""
    left_out = re.search(r'"-m", "(.*?)"', (ROOT / "pyproject.toml").read_text())
    assert left_out
    assert sorted(re.findall(r"not (\w+)", left_out[1])) == sorted(marker for marker, _ in TARGETS)


@pytest.mark.parametrize(("marker", "folders"), TARGETS)
def test_no_test_of_a_suite_is_elsewhere(marker: str, folders: str) -> None:
    """It would be left out by every target."""
    inside = [ROOT / folder for folder in folders.split()]
    marked = [
        path
        for path in (ROOT / "tests").rglob("*.py")
        if path.name.startswith(("test_", "conftest")) and f"mark.{marker}" in path.read_text(encoding="utf-8")
    ]
    assert marked
    assert [] == [path for path in marked if not any(path.is_relative_to(folder) for folder in inside)]
