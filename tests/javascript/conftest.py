"""Clients written in JavaScript: their packages are installed by make, and their modules are those of tests/router."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import uvloop

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "support"), str(HERE.parent / "router/support")]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Callable[[], object]]:
    """The router's own listener runs on uvloop."""
    return {"uvloop": uvloop.new_event_loop}
