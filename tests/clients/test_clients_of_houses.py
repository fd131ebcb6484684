"""Every client library, asking the same of three engines behind the same names: each house is opened once."""

from typing import Any

import pytest
from asking_houses import outcomes_of_house
from expected_of_houses import expected_of_house
from named_houses import HOUSES

# A house takes 20 s to open, and its clients half a minute; the first of its tests waits for all of that.
pytestmark = [pytest.mark.houses, pytest.mark.timeout(400)]

Said = dict[str, dict[str, Any]]

EXPECTED = {house: expected_of_house(house) for house in HOUSES}
SCENARIOS = [
    pytest.param(house, house, client, scenario, id=f"{house}: {client}: {scenario}")
    for house, clients in EXPECTED.items()
    for client, scenarios in clients.items()
    for scenario in scenarios
]


@pytest.fixture(scope="module")
def said(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Said:
    """What every scenario gave in a house, by client."""
    return outcomes_of_house(request.param, tmp_path_factory.mktemp("clients"))


@pytest.mark.parametrize(("said", "house", "client", "scenario"), SCENARIOS, indirect=["said"], scope="module")
def test_a_scenario(house: str, client: str, scenario: str, said: Said) -> None:
    """A client gets what it should, whichever engine answers."""
    assert EXPECTED[house][client][scenario] == said[client].get(scenario)


@pytest.mark.parametrize(("said", "house"), [(house, house) for house in HOUSES], indirect=["said"], scope="module")
def test_no_scenario_is_forgotten(house: str, said: Said) -> None:
    """Each that a client has is compared."""
    assert {client: sorted(scenarios) for client, scenarios in EXPECTED[house].items()} == {
        client: sorted(scenarios) for client, scenarios in said.items()
    }
