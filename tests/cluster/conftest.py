"""A Ray cluster of several nodes on this machine, with the GPUs and labels that it is told to have."""

import sys
from pathlib import Path

import pytest

# The tests' own modules, under names that no other folder of tests uses.
sys.path.insert(0, str(Path(__file__).parent / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "e2e" / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "engine_support"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here starts a cluster of several nodes, which takes a minute."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(900))
