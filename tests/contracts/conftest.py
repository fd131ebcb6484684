"""Engines for the contract, which `tests/vllm` uses too."""

import sys
from pathlib import Path

# The tests' own modules, under names that no other folder of tests uses.
sys.path.insert(0, str(Path(__file__).parents[1] / "engine_support"))
