"""All clients, asking a whole house."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import python_anthropic
import python_ollama
import python_openai
from asked_house import AskedHouse
from editor_checks import faults, outcomes
from engine_figures import MIN_LONG_TOKENS, Figures
from expected_of_houses import CLIENTS, FIRST_TURN
from expected_outcomes import LEFT
from house import House, open_house
from house_files import KEYS, KEYS_ENV
from named_houses import HOUSES
from node import outcomes as outcomes_in_node
from node import stage

from deployments.editors.registry import CLIENTS as EDITORS

_IN_PYTHON: dict[str, Callable[[AskedHouse], dict[str, Any]]] = {
    "openai": python_openai.outcomes,
    "anthropic": python_anthropic.outcomes,
    "ollama": python_ollama.outcomes,
}
_IDLE_DEADLINE_S = 120.0


def outcomes_of_house(name: str, folder: Path) -> dict[str, dict[str, Any]]:
    """Opens the house, and closes it again. What each scenario of each client gave. `folder` is for what is written."""
    named, key = HOUSES[name], KEYS[0]
    stage(folder)
    found: dict[str, dict[str, Any]] = {}
    with named.file(folder) as file, open_house(file, {KEYS_ENV: key}) as house:
        asked = AskedHouse(house.base_url.removesuffix("/v1"), key, named.models)
        figures = named.figures(house, folder)
        for client, library in CLIENTS.items():
            before = figures.num_tokens()
            found[client] = _outcomes_of(client, library, folder, asked)
            found[client][LEFT] = _has_stopped(figures, before)
        found["editors"] = _outcomes_of_editors(house, key)
    return found


def _outcomes_of(client: str, library: str, folder: Path, house: AskedHouse) -> dict[str, Any]:
    if client.endswith("JavaScript"):
        return asyncio.run(outcomes_in_node(folder, library, house))
    return _IN_PYTHON[library](house)


def _has_stopped(figures: Figures, num_tokens_before: float) -> bool:
    """Whether the engine has nothing to do any more, and never made the long answer that its client left."""
    deadline = time.monotonic() + _IDLE_DEADLINE_S
    while figures.num_running() > 0:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return figures.num_tokens() - num_tokens_before < MIN_LONG_TOKENS


def _outcomes_of_editors(house: House, key: str) -> dict[str, Any]:
    """What each would fail at, by its name."""
    found: dict[str, Any] = {editor: faults(house, editor, key) for editor in EDITORS}
    turn, _ = outcomes(house, "claude-code", key)["the first turn, 76 KB with 24 tools"]
    return {**found, FIRST_TURN: turn.value}
