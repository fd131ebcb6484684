"""The lock of the clients in JavaScript fits every machine, and is complete."""

import json
from pathlib import Path

import pytest

LOCK = Path(__file__).parent / "package-lock.json"
PACKAGES = {name: package for name, package in json.loads(LOCK.read_text())["packages"].items() if name}


def test_no_registry_is_named() -> None:
    """npm asks the one that a machine is set up for."""
    assert [] == [name for name, package in PACKAGES.items() if "resolved" in package]


def test_every_package_is_known_by_its_hash() -> None:
    """Whichever registry it comes from, it is the same."""
    assert [] == [name for name, package in PACKAGES.items() if not package.get("integrity", "").startswith("sha512-")]


@pytest.mark.parametrize("name", ["openai", "@anthropic-ai/sdk", "@ai-sdk/openai-compatible", "ollama"])
def test_the_libraries_are_locked(name: str) -> None:
    """In the versions that package.json asks for."""
    wanted = json.loads(LOCK.with_name("package.json").read_text())["dependencies"][name]
    assert wanted == PACKAGES[f"node_modules/{name}"]["version"]
