"""Programs from npm are installed as requirements/npm pins them, and anew where that has changed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PINS = ROOT / "requirements/npm"
INSTALLED = {"test-clients": ["clients.txt", "continue.txt"], "test-vscode": ["vscode.txt", "continue.txt"]}
LONG_AGO, BEFORE = 1_000_000_000, 1_100_000_000
"""Times of files, in seconds."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As it is after everything was installed."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    for file in tmp_path.rglob("*"):
        os.utime(file, (LONG_AGO, LONG_AGO))
    for folder in ("clients", "vscode"):
        (tmp_path / ".venv" / folder).mkdir(parents=True)
    stamps = ("created", "locked", "locked-dev", "installed", "installed-dev", "clients/installed", "vscode/installed")
    for made in stamps:
        (tmp_path / ".venv" / made).touch()
        os.utime(tmp_path / ".venv" / made, (BEFORE, BEFORE))
    return tmp_path


def installs(checkout: Path, target: str) -> bool:
    """Whether `make` would install the target's programs."""
    make = str(shutil.which("make"))
    stamp = f".venv/{target.removeprefix('test-')}/installed"
    planned = subprocess.run([make, "-n", stamp], cwd=checkout, capture_output=True, text=True, check=True).stdout
    return " install " in planned


@pytest.mark.parametrize("target", INSTALLED)
def test_what_is_installed_is_not_installed_again(target: str, checkout: Path) -> None:
    """They are gigabytes."""
    assert not installs(checkout, target)


@pytest.mark.parametrize(("target", "pins"), [(target, pins) for target, files in INSTALLED.items() for pins in files])
def test_a_pin_that_changes_is_installed(target: str, pins: str, checkout: Path) -> None:
    """The next `make` has the programs that the tests are written for."""
    (checkout / "requirements/npm" / pins).touch()
    assert installs(checkout, target)


@pytest.mark.parametrize("file", sorted(PINS.iterdir()), ids=lambda file: file.name)
def test_every_pin_is_of_one_version(file: Path) -> None:
    """Nothing that is newer tomorrow."""
    assert [] == [line for line in file.read_text().splitlines() if not re.fullmatch(r"\S+@\d+\.\d+\.\d+", line)]
