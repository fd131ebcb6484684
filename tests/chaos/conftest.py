"""Whole houses under load, to which bad things are done."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

# The tests' own modules, under names that no other folder of tests uses.
sys.path.insert(0, str(Path(__file__).parents[1] / "engine_support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "e2e" / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "cache" / "support"))
sys.path.insert(0, str(Path(__file__).parent / "support"))

from chaos_house import Chaos, assert_port_is_free, llama_cpp_chaos, simulated_chaos
from ledger import Counts, table

_COUNTS: pytest.StashKey[Counts] = pytest.StashKey()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here loads and breaks a whole house."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.chaos)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def chaos(request: pytest.FixtureRequest) -> Iterator[Chaos]:
    """
    Two routers behind two doors, three simulated engines, and a Redis; with the parameter `llama_cpp` two routers and
    two engines of llama.cpp. Never both at once. At its end its ports are free.
    """
    opened = llama_cpp_chaos if getattr(request, "param", "") == "llama_cpp" else simulated_chaos
    with opened() as chaos:
        yield chaos
    for port in (chaos.house.port, chaos.serve_port, *chaos.old_ports):
        assert_port_is_free(port)


@pytest.fixture
def counts(request: pytest.FixtureRequest) -> Counts:
    """How the requests ended, by fault: to be added to, and printed when all tests are over."""
    return request.config.stash.setdefault(_COUNTS, Counter())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    found = config.stash.get(_COUNTS, None)
    if found:
        terminalreporter.section("how requests ended")
        terminalreporter.write_line(table(found))
