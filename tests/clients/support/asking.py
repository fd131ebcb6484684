"""What every client in Python here asks, and how its scenarios are run: as the scripts in JavaScript do it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

Scenario: TypeAlias = Callable[[], object]

QUESTIONS: Mapping[str, Any] = json.loads(
    (Path(__file__).parents[2] / "javascript/questions.json").read_text(encoding="utf-8")
)
HELLO, LOOK, SURE, LONG = (QUESTIONS[name] for name in ("hello", "look", "sure", "many"))
CALLING, RESULT, COUNT = (QUESTIONS[name] for name in ("calling", "result", "count"))
TOO_LONG = [{"role": "user", "content": "word " * 20_000}]
MANY_TOOLS = [{"name": f"tool_{index}", "description": "Does it. " * 280} for index in range(40)]
"""As many as an editor's agent has, of 2,500 characters each."""
HEADERS = {"cache-control": "no-store"}
"""Of the engine's answers: what is kept is not these libraries' business."""

_TYPES = {bool: "boolean", str: "string", int: "number", float: "number"}


def report(scenarios: Mapping[str, Scenario]) -> dict[str, object]:
    """What each scenario gave. One that fails in a way that it did not expect gives that."""
    return {name: _outcome(scenario) for name, scenario in scenarios.items()}


def _outcome(scenario: Scenario) -> object:
    try:
        return scenario()
    except Exception as error:  # noqa: BLE001 - it is compared with what was expected, and so fails a test
        return {"unexpected": repr(error)}


def failure(action: Scenario, described: Callable[[Any], object], kind: type[Exception]) -> object:
    """What `described` makes of the error; "no error" where there is none."""
    try:
        action()
    except kind as error:
        return described(error)
    return "no error"


def either(action: Scenario, described: Callable[[Any], object], kind: type[Exception]) -> object:
    """What the action gives, or what `described` makes of its error: for what not every model can do."""
    try:
        return action()
    except kind as error:
        return described(error)


def sure(text: str | None) -> object:
    """What an answer has that is to follow the schema `SURE`."""
    return [[name, _TYPES[type(value)]] for name, value in json.loads(text or "").items()]
