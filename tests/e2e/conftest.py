"""Fixtures: whole Enginehouses, shared between the tests, since starting one takes 15 s."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# The tests' own modules, under names that no other folder of tests uses.
sys.path.insert(0, str(Path(__file__).parents[1] / "engine_support"))
sys.path.insert(0, str(Path(__file__).parent / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "cache" / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "deployments" / "engines" / "support"))

from gguf_files import write_reranker
from house import House, open_house
from house_files import KEYS, KEYS_ENV, free_port, laptop_file, library_file, pair_file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here starts a cluster."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.ray)


@pytest.fixture(scope="session")
def laptop() -> Iterator[House]:
    """A house on llama.cpp, without keys."""
    with open_house(laptop_file(free_port())) as house:
        yield house


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house on llama.cpp with a model for each task."""
    weights = tmp_path_factory.mktemp("weights") / "reranker.gguf"
    write_reranker(weights)
    with open_house(library_file(free_port(), str(weights))) as house:
        yield house


@pytest.fixture(scope="session")
def shared_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with open_house(pair_file(free_port(), tmp_path_factory.mktemp("batches")), {KEYS_ENV: ", ".join(KEYS)}) as house:
        yield house


@pytest.fixture
def pair(shared_pair: House) -> House:
    """A house of two simulated replicas and two routers, with keys. Whole again, whatever the last test did to it."""
    shared_pair.wait_whole()
    return shared_pair
