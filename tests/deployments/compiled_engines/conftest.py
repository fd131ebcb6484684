"""Environments that build engines, from the stand-ins."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "standins"))

from trtllm_build_environment import BuildEnvironment, make_build_environment, make_weights


@pytest.fixture
def trtllm(tmp_path: Path) -> BuildEnvironment:
    """Version 1.2.1 on one H100."""
    return make_build_environment(tmp_path / "trtllm")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return make_weights(tmp_path / "model")
