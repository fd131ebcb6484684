"""Clients against whole houses. Their scripts are those of tests/javascript, the houses those of tests/e2e."""

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
# The tests' own modules, under names that no other folder of tests uses.
sys.path[:0] = [
    str(Path(__file__).parent / "support"),
    *(str(TESTS / name) for name in ("javascript/support", "router/support", "e2e/support", "engine_support")),
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here starts a cluster."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.ray)
