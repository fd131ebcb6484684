"""Every client library, asking the same of three engines behind the same names: each house is opened once."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
from asking_houses import outcomes_of_house
from expected_of_houses import expected_of_house
from named_houses import HOUSES

# A house takes 20 s to open, and its clients half a minute; the first of its tests waits for all of that.
pytestmark = [pytest.mark.houses, pytest.mark.timeout(900)]

Said = dict[str, dict[str, Any]]

EXPECTED = {house: expected_of_house(house) for house in HOUSES}
SCENARIOS = [
    pytest.param(house, client, scenario, id=f"{house}: {client}: {scenario}")
    for house, clients in EXPECTED.items()
    for client, scenarios in clients.items()
    for scenario in scenarios
]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Said]:
    """What every scenario gave in a house, by client."""
    # Kept here: pytest would make a fixture with parameters anew for each test, as each has another index.
    return functools.cache(lambda house: outcomes_of_house(house, tmp_path_factory.mktemp("clients")))


@pytest.mark.parametrize(("house", "client", "scenario"), SCENARIOS)
def test_a_scenario(house: str, client: str, scenario: str, said: Callable[[str], Said]) -> None:
    """A client gets what it should, whichever engine answers."""
    assert EXPECTED[house][client][scenario] == said(house)[client].get(scenario)


@pytest.mark.parametrize("house", HOUSES)
def test_no_scenario_is_forgotten(house: str, said: Callable[[str], Said]) -> None:
    """Each that a client has is compared."""
    assert {client: sorted(scenarios) for client, scenarios in EXPECTED[house].items()} == {
        client: sorted(scenarios) for client, scenarios in said(house).items()
    }
