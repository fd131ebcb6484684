"""What libraries in JavaScript make of the router's answers, errors included: engines by script behind a router."""

from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asked_house import AskedHouse
from expected_outcomes import EVERYWHERE, LEFT, expected_of
from many_models import KEY, many_models
from node import outcomes, stage
from polling import eventually

pytestmark = pytest.mark.timeout(600)  # the first test waits for every script

ROLES = ("m", "slow", "tools", "cut", "busy", "busy-once", "refusing", "vectors", "ranks", "endless", "hears", "speaks")
"""The models, which are called by what they are to the scenarios."""
EXPECTED = {client: expected_of(client, ROLES) for client in EVERYWHERE}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What every scenario gave, by script. One node for each script: to start one costs more than its scenarios."""
    folder: Path = tmp_path_factory.mktemp("javascript")
    stage(folder)
    found: dict[str, dict[str, Any]] = {}
    async with many_models() as (door, engines):
        house = AskedHouse(f"http://127.0.0.1:{door.port}", KEY, {role: role for role in ROLES})
        for script in EXPECTED:
            found[script] = await outcomes(folder, script, house)
            await eventually(lambda: engines["endless"].num_open == 0)
            found[script][LEFT] = engines["endless"].num_open == 0
    return found


SCENARIOS = [(script, scenario) for script, expected in EXPECTED.items() for scenario in expected]


@pytest.mark.parametrize(("script", "scenario"), SCENARIOS, ids=[f"{script}: {name}" for script, name in SCENARIOS])
def test_a_scenario(script: str, scenario: str, said: dict[str, dict[str, Any]]) -> None:
    """A library gives its user what it should."""
    assert EXPECTED[script][scenario] == said[script].get(scenario)


def test_no_scenario_is_forgotten(said: dict[str, dict[str, Any]]) -> None:
    """Each that a script has is compared."""
    assert {script: sorted(EXPECTED[script]) for script in said} == {
        name: sorted(found) for name, found in said.items()
    }
