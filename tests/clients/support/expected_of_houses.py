"""What each client gets of each house. Where houses differ, it is for what their engine or its model cannot do."""

from typing import Any

from expected_outcomes import EVERYWHERE, SURE, Outcomes, expected_of
from named_houses import CONTEXT, HOUSES

from deployments.editors.registry import CLIENTS as EDITORS

CLIENTS = {
    "openai in JavaScript": "openai",
    "anthropic in JavaScript": "anthropic",
    "ai-sdk in JavaScript": "ai-sdk",
    "continue in JavaScript": "continue",
    "ollama in JavaScript": "ollama",
    "openai in Python": "openai",
    "anthropic in Python": "anthropic",
    "ollama in Python": "ollama",
}
"""By the library: it has the same outcomes in both languages."""

IN_EVERY_HOUSE: Outcomes = {
    "openai": {
        "a prompt that does not fit": {"status": 400, "code": "context_length_exceeded", "param": "messages"},
    },
    "anthropic": {
        "a prompt that does not fit": {
            "kind": "BadRequestError", "status": 400, "type": "invalid_request_error", "words": True,
        },
    },
    "ai-sdk": {},
    "continue": {},
    "ollama": {"a prompt that does not fit": 400},
}  # fmt: skip

NO_CALLS = {"a call that is demanded": {"status": 400, "code": "model_does_not_support", "param": "tool_choice"}}
"""Neither SmolLM2, whose template knows no tools, nor the simulated engine calls any."""

NO_MIDDLE = {"a suffix": {"status": 400, "code": "unsupported_parameter", "param": "suffix"}}
"""Neither SmolLM2 nor the stand-in's model, which has no tokeniser, has marks for a middle."""

NO_SCHEMA = {
    "a schema": {"status": 400, "code": "model_does_not_support", "param": "response_format"},
    "a response with a schema": {"status": 400, "code": "model_does_not_support", "param": "text.format"},
}
"""The simulated engine has a text of its own, and nothing that would hold it to a schema."""


def _card(*capabilities: str) -> dict[str, Any]:
    return {
        "what the model can do": {"capabilities": ["chat", "completion", *capabilities], "context": CONTEXT,
                                  "output": CONTEXT},
    }  # fmt: skip


def _ollamas_card(architecture: str, *capabilities: str) -> dict[str, Any]:
    card = {"capabilities": [*capabilities], "architecture": architecture, "contexts": [CONTEXT, CONTEXT]}
    return {"what the model can do": card}


FOLLOWED = {"a schema": SURE, "a response with a schema": SURE}

OF_HOUSE: dict[str, Outcomes] = {
    "laptop": {
        "openai": {**NO_CALLS, **NO_MIDDLE, **FOLLOWED, **_card("structured_output")},
        # llama.cpp does not say which of the stop strings ended an answer, nor that one did
        "anthropic": {"a count that is exact": True, "a limit that no context has": "end_turn"},
        "ai-sdk": {"a schema": SURE},
        "ollama": {"a suffix": 400, "a schema": SURE, **_ollamas_card("llama", "completion")},
    },
    "TensorRT-LLM's stand-in": {
        "openai": {
            "a call that is demanded": {"called": ["look"]}, **NO_MIDDLE, **FOLLOWED,
            **_card("tools", "reasoning", "structured_output"),
        },
        "anthropic": {"a count that is exact": False},  # its server has no route that counts: it is estimated
        "ai-sdk": {"a schema": SURE},
        "ollama": {"a suffix": 400, "a schema": SURE, **_ollamas_card("llama", "completion", "thinking", "tools")},
    },
    "simulated": {
        "openai": {
            "a suffix": {"said": True}, **NO_CALLS, **NO_SCHEMA, **_card("fim"),
        },
        "anthropic": {"a count that is exact": True},
        "ai-sdk": {"a schema": {"status": 400, "again": False}},
        "ollama": {"a suffix": {"said": True}, "a schema": 400, **_ollamas_card("simulated", "completion", "insert")},
    },
}  # fmt: skip

FIRST_TURN = "claude-code: a turn over the context"


def expected_of_house(house: str) -> dict[str, dict[str, Any]]:
    """By client, then by scenario. Editors find no fault, and are told of a prompt over the context as such."""
    roles = HOUSES[house].models
    of_library = {
        library: {**expected_of(library, roles), **IN_EVERY_HOUSE[library], **OF_HOUSE[house].get(library, {})}
        for library in EVERYWHERE
    }
    of_editors: dict[str, Any] = {**{editor: {} for editor in EDITORS}, FIRST_TURN: "limit"}
    return {**{client: of_library[library] for client, library in CLIENTS.items()}, "editors": of_editors}
