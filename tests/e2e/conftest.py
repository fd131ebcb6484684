"""Fixtures: whole Enginehouses, shared between the tests, since starting one takes 15 s."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

# The tests' own modules, under names that no other folder of tests uses.
sys.path.insert(0, str(Path(__file__).parents[1] / "engine_support"))
sys.path.insert(0, str(Path(__file__).parent / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "cache" / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "deployments" / "engines" / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "deploy" / "support"))

from gguf_files import write_reranker
from house import House, open_house
from house_files import KEYS, KEYS_ENV, free_port, laptop_file, library_file, pair_file

_SHARED = ("laptop", "library", "pair")
"""Fixtures that are houses, in the order in which they are open."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Everything here starts a cluster. Those tests come last, and those of one house one after another, so that no house
    takes time from anything but its own tests: its dozen processes never rest.
    """
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.ray)
        item.add_marker(pytest.mark.timeout(600))  # a house's start and another one's end count as part of a test
    elsewhere = [item for item in items if Path(__file__).parent not in item.path.parents]
    items[:] = [*elsewhere, *sorted(here, key=_place)]


def _place(item: pytest.Item) -> int:
    """Tests with houses of their own come first."""
    names = getattr(item, "fixturenames", ())
    return next((place for place, name in enumerate(_SHARED) if name in names), -1)


class SharedHouses:
    """One at a time: whoever wants another closes the one before it."""

    def __init__(self) -> None:
        self._name = ""
        self._house: House | None = None
        self._life = contextlib.ExitStack()

    def get(self, name: str, opening: Callable[[], AbstractContextManager[House]]) -> House:
        """The house `name`; a start that fails is not tried again for its other tests."""
        if name != self._name:
            self._life.close()
            self._name, self._house = name, None
            self._house = self._life.enter_context(opening())
        assert self._house is not None, f"the house {name} did not start"
        return self._house

    def close(self) -> None:
        self._life.close()


@pytest.fixture(scope="session")
def houses() -> Iterator[SharedHouses]:
    shared = SharedHouses()
    yield shared
    shared.close()


@pytest.fixture
def laptop(houses: SharedHouses) -> House:
    """A house on llama.cpp, without keys."""
    return houses.get("laptop", lambda: open_house(laptop_file(free_port())))


@pytest.fixture
def library(houses: SharedHouses, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house on llama.cpp with a model for each task."""

    def opening() -> AbstractContextManager[House]:
        weights = tmp_path_factory.mktemp("weights") / "reranker.gguf"
        write_reranker(weights)
        return open_house(library_file(free_port(), str(weights)))

    return houses.get("library", opening)


@pytest.fixture
def pair(houses: SharedHouses, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house of two simulated replicas and two routers, with keys. Whole again, whatever the last test did to it."""

    def opening() -> AbstractContextManager[House]:
        keys = {KEYS_ENV: ", ".join(KEYS)}
        return open_house(pair_file(free_port(), tmp_path_factory.mktemp("batches")), keys)

    house = houses.get("pair", opening)
    house.wait_whole()
    return house
