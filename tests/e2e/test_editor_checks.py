"""Editors' first requests to llama.cpp behind Ray Serve: none finds a fault, whatever the model is too small for."""

import pytest
from editor_checks import faults, outcomes
from house import House

from deployments.editors.asking import Router, without_version
from deployments.editors.checking import Outcome
from deployments.editors.registry import CLIENTS
from deployments.editors.step import Step

pytestmark = pytest.mark.houses  # thirty answers of a real model take longer than `make test` has room for


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_finds_no_fault(client: str, laptop: House) -> None:
    """Each reads the answers of a real model as it does at its user's."""
    if client == "ollama" and not _speaks_ollama(laptop):
        pytest.skip("this router does not speak Ollama's API")
    assert {} == faults(laptop, client)


def test_a_first_turn_that_is_too_large_for_the_model(laptop: House) -> None:
    """Is refused in the words that the client knows, and told apart from a fault."""
    assert Outcome.LIMITED is outcomes(laptop, "claude-code")["the first turn, 76 KB with 24 tools"][0]


def _speaks_ollama(house: House) -> bool:
    version = Step("version", "/api/version", [], method="GET")
    return Router(without_version(house.base_url)).ask(version).status == 200
