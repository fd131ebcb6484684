"""Everything here starts real vLLM, on the CPU: `make test-vllm` installs it."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# The tests' own modules, under names that no other folder of tests uses.
sys.path[:0] = [str(ROOT / "engine_support"), str(ROOT / "e2e" / "support")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A start takes 40 s on an idle machine, and counts as part of the first test that needs it."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vllm)
            item.add_marker(pytest.mark.timeout(900))
