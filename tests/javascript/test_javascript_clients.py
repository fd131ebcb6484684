"""What libraries in JavaScript make of the router's answers: each script's scenarios, and what each must give."""

from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from many_models import many_models
from node import outcomes, stage
from polling import eventually

SCRIPTS = ("openai", "anthropic", "ai-sdk", "continue", "ollama")
CALL = {"name": "look", "arguments": '{"at": "it"}'}
LEFT = "the engine is told that its client has left"

EXPECTED: dict[str, dict[str, Any]] = {
    "openai": {
        "a chat": {"finish": "length", "tokens": 5, "named": True},
        "a stream": {"same": True, "finish": "length"},
        "a stream's usage": {"tokens": 4, "others": 0},
        "a completion": {"text": "string", "finish": "length"},
        "a completion's stream": {"texts": 3, "finish": "length"},
        "vectors": [0.5, 0.25],
        "models": {"m": True, "context": 100_000},
        "a round of tools": {
            "finish": "tool_calls", "called": CALL, "thought": "I should read it.", "answer": "It is plum.",
        },
        "responses": {"first": "response.created", "last": "response.completed", "status": "completed"},
        "a recording": {"begins": "A recording of 32000 bytes and 1.00 ", "lasts": 1, "same": True},
        "a recording's stream": {"last": "transcript.text.done", "same": True},
        "a translation": "Translated:",
        "speech": {"begins": "RIFF", "same": True, "kind": "audio/pcm"},
        "a model without sound": {
            "kind": "BadRequestError", "status": 400, "code": "model_does_not_support", "named": True,
        },
        "a response that is not kept": {
            "kind": "BadRequestError", "status": 400, "code": "previous_response_not_found", "named": True,
        },
        "a model that is not there": {
            "kind": "NotFoundError", "status": 404, "code": "model_not_found", "named": True,
        },
        "a wrong field": {"kind": "BadRequestError", "status": 400, "code": "invalid_request", "named": True},
        "a wrong key": {"kind": "AuthenticationError", "status": 401, "code": "invalid_api_key", "named": True},
        "an error before a stream": {
            "kind": "InternalServerError", "status": 503, "code": "engine_overloaded", "named": True,
        },
        "an error that is tried again": "hello",
        "an error in a stream": {
            "error": {"kind": "APIError", "status": None, "code": "engine_failed", "named": True}, "before": "Hello",
        },
        "comments": {"said": True},
        "a client that leaves": "left",
        LEFT: True,
    },
    "anthropic": {
        "a message": {"stop": "max_tokens", "tokens": 9, "named": True},
        "a bearer": "assistant",
        "a stream": {"same": True, "stop": "max_tokens", "tokens": 9},
        "events": ["message_start", "message_delta", "message_stop"],
        "a count of tokens": True,
        "models": True,
        "a round of tools": {
            "stop": "tool_use", "kinds": ["thinking", "text", "tool_use"], "input": {"at": "it"},
            "answer": "It is plum.",
        },
        "a model that is not there": {"kind": "NotFoundError", "status": 404, "type": "not_found_error"},
        "a wrong field": {"kind": "BadRequestError", "status": 400, "type": "invalid_request_error"},
        "a wrong key": {"kind": "AuthenticationError", "status": 401, "type": "authentication_error"},
        "an error before a stream": {"kind": "ServiceUnavailableError", "status": 503, "type": "overloaded_error"},
        "an error in a stream": {"kind": "APIError", "status": None, "type": "api_error"},
        "comments": "max_tokens",
    },
    "ai-sdk": {
        "a chat": {"finish": "length", "tokens": 5},
        "a stream": {"same": True, "finish": "length", "tokens": 9},
        "vectors": [0.5, 0.25],
        "a completion": {"finish": "length", "said": True},
        "a round of tools": {
            "inputs": [{"at": "it"}], "thought": "I should read it.", "finish": "tool-calls", "answer": "It is plum.",
        },
        "a model that is not there": {"status": 404, "again": False},
        "a wrong key": {"status": 401, "again": False},
        "an error before a stream": [{"status": 503, "again": True}],
        "an error that is tried again": "hello",
        "an error in a stream": {"before": "Hello", "failed": True},
        "comments": {"said": True},
    },
    "continue": {
        "a chat": {"finish": "length", "tokens": 5},
        "a stream": {"same": True},
        "a stream with usage": {"said": True, "tokens": 4},
        "lines": {"said": True},
        "lines with comments": {"said": True},
        "comments": {"said": True},
        "autocomplete": {"texts": 3},
        "vectors": [0.5, 0.25],
        "ranks": [1, 0],
        "models": True,
        "a call of a tool": CALL,
        "a model that is not there": {"status": 404, "code": "model_not_found"},
        "a wrong key": {"status": 401, "code": "invalid_api_key"},
        "an error before a stream": {"status": 400, "code": "invalid_request"},
        "an error in a stream": {"status": None, "code": "engine_failed"},
        "lines with an error": "an error",
    },
    "ollama": {
        "models": True,
        "a model": True,
        "a chat": {"done": True, "reason": "length", "tokens": 5},
        "a stream": {"same": True, "done": True, "tokens": 5},
        "a completion": {"said": True, "done": True},
        "vectors": [[0.5, 0.25]],
        "a call of a tool": [{"name": "look", "arguments": {"at": "it"}}],
        "a model that is not there": 404,
        "an error before a stream": 503,
        "an error in a stream": "an error",
        "comments": {"said": True},
    },
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What every scenario gave, by script. One node for each script: to start one costs more than its scenarios."""
    folder: Path = tmp_path_factory.mktemp("javascript")
    stage(folder)
    found: dict[str, dict[str, Any]] = {}
    async with many_models() as (door, engines):
        has_ollama = (await door.ask("GET", "/api/version", {"authorization": "Bearer k1"})).status == 200
        for script in SCRIPTS:
            if script != "ollama" or has_ollama:
                found[script] = await outcomes(folder, script, f"http://127.0.0.1:{door.port}")
        await eventually(lambda: engines["endless"].num_open == 0)
        found["openai"][LEFT] = engines["endless"].num_open == 0
    return found


SCENARIOS = [(script, scenario) for script, expected in EXPECTED.items() for scenario in expected]


@pytest.mark.parametrize(("script", "scenario"), SCENARIOS, ids=[f"{script}: {name}" for script, name in SCENARIOS])
def test_a_scenario(script: str, scenario: str, said: dict[str, dict[str, Any]]) -> None:
    """A library gives its user what it should, errors included."""
    if script not in said:
        pytest.skip("this router does not speak Ollama's API")
    assert EXPECTED[script][scenario] == said[script].get(scenario)


def test_no_scenario_is_forgotten(said: dict[str, dict[str, Any]]) -> None:
    """Each that a script has is compared."""
    assert {script: sorted(EXPECTED[script]) for script in said} == {
        name: sorted(found) for name, found in said.items()
    }
