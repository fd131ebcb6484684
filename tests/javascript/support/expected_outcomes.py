"""What each scenario of each client gives, in every house that has what the scenario needs."""

from collections.abc import Collection
from typing import Any, TypeAlias

Outcomes: TypeAlias = dict[str, dict[str, Any]]
"""By client, then by scenario."""

SURE = [["sure", "boolean"]]

EVERYWHERE: Outcomes = {
    "openai": {
        "a chat": {"finish": "length", "tokens": 5, "named": True},
        "a stream": {"same": True, "finish": "length", "usages": 0},
        "a stream's usage": {"tokens": 4, "choices": 0, "others": 0},
        "a completion": {"text": "string", "finish": "length"},
        "a completion's stream": {"same": True, "finish": "length"},
        "models": {"listed": True, "same": True, "known": True},
        "a large request": "length",
        "responses": {
            "first": "response.created", "last": "response.incomplete", "status": "incomplete", "same": True,
        },
        "a response that ends": {"last": "response.completed", "status": "completed"},
        "a response that is not kept": {
            "kind": "BadRequestError", "status": 400, "code": "previous_response_not_found", "named": True,
        },
        "a model without sound": {
            "kind": "BadRequestError", "status": 400, "code": "model_does_not_support", "named": True,
        },
        "a model that is not there": {
            "kind": "NotFoundError", "status": 404, "code": "model_not_found", "named": True,
        },
        "a wrong field": {"kind": "BadRequestError", "status": 400, "code": "invalid_request", "named": True},
        "a wrong key": {"kind": "AuthenticationError", "status": 401, "code": "invalid_api_key", "named": True},
    },
    "anthropic": {
        "a message": {"stop": "max_tokens", "tokens": 9, "named": True},
        "a bearer": "assistant",
        "a stream": {"same": True, "stop": "max_tokens", "tokens": 9, "read": True},
        "events": ["message_start", "message_delta", "message_stop"],
        "a count of tokens": True,
        "a look whether somebody is there": 200,
        "models": True,
        "a large request": "max_tokens",
        "a limit that no context has": "stop_sequence",
        "a model that is not there": {"kind": "NotFoundError", "status": 404, "type": "not_found_error"},
        "a wrong field": {"kind": "BadRequestError", "status": 400, "type": "invalid_request_error"},
        "a wrong key": {"kind": "AuthenticationError", "status": 401, "type": "authentication_error"},
    },
    "ai-sdk": {
        "a chat": {"finish": "length", "tokens": 5},
        "a stream": {"same": True, "finish": "length", "tokens": 9},
        "a completion": {"finish": "length", "said": True},
        "a large request": "length",
        "a model that is not there": {"status": 404, "again": False},
        "a wrong key": {"status": 401, "again": False},
    },
    "continue": {
        "a chat": {"finish": "length", "tokens": 5},
        "a stream": {"same": True},
        "a stream with usage": {"said": True, "tokens": 4},
        "lines": {"said": True},
        "autocomplete": {"said": True, "finish": "length"},
        "models": True,
        "a large request": {"said": True},
        "a model that is not there": {"status": 404, "code": "model_not_found"},
        "a wrong key": {"status": 401, "code": "invalid_api_key"},
    },
    "ollama": {
        "models": True,
        "a model": True,
        "a chat": {"done": True, "reason": "length", "tokens": 5},
        "a stream": {"same": True, "done": True, "tokens": 5, "read": True},
        "a completion": {"said": True, "done": True},
        "a prompt as it is": {"same": True, "tokens": 5},
        "a model that is not there": 404,
        "a wrong key": 401,
    },
}  # fmt: skip

LEFT = "the engine is told that its client has left"

WITH: dict[str, Outcomes] = {
    "endless": {
        client: {"a client that leaves": "left", LEFT: True}
        for client in ("openai", "anthropic", "ai-sdk", "continue", "ollama")
    },
    "vectors": {
        "openai": {"vectors": {"are": True, "same": True}},
        "ai-sdk": {"vectors": True},
        "continue": {"vectors": True},
        "ollama": {"vectors": [True]},
    },
    "hears": {
        "openai": {
            "a recording": {"begins": "A recording of 32000 bytes and 1.00 ", "lasts": 1, "same": True},
            "a recording's stream": {"last": "transcript.text.done", "same": True},
            "a translation": "Translated:",
        },
    },
    "speaks": {"openai": {"speech": {"begins": "RIFF", "same": True, "kind": "audio/pcm"}}},
    "ranks": {"continue": {"ranks": [1, 0]}},
    "tools": {
        "openai": {
            "a round of tools": {
                "finish": "tool_calls", "name": "look", "given": {"at": "it"}, "thought": "I should read it.",
                "answer": "It is plum.",
            },
        },
        "anthropic": {
            "a round of tools": {
                "stop": "tool_use", "kinds": ["thinking", "text", "tool_use"], "input": {"at": "it"},
                "answer": "It is plum.",
            },
        },
        "ai-sdk": {
            "a round of tools": {
                "inputs": [{"at": "it"}], "thought": "I should read it.", "finish": "tool-calls",
                "answer": "It is plum.",
            },
        },
        "continue": {"a call of a tool": {"name": "look", "given": {"at": "it"}}},
        "ollama": {"a call of a tool": [{"name": "look", "given": {"at": "it"}}], "a large request": True},
    },
    "toolless": {
        "openai": {"tools that are left out": {"ignored": "tools", "said": True}},
        "anthropic": {"tools that are left out": {"ignored": "tools", "kinds": ["text"]}},
        "ollama": {"tools that are refused": 400},
    },
    "busy": {
        "openai": {
            "an error before a stream": {
                "kind": "InternalServerError", "status": 503, "code": "engine_overloaded", "named": True,
            },
        },
        "anthropic": {
            "an error before a stream": {"kind": "ServiceUnavailableError", "status": 503, "type": "overloaded_error"},
        },
        "ai-sdk": {"an error before a stream": [{"status": 503, "again": True}]},
        "ollama": {"an error before a stream": 503},
    },
    "busy-once": {
        "openai": {"an error that is tried again": "hello"},
        "ai-sdk": {"an error that is tried again": "hello"},
    },
    "refusing": {"continue": {"an error before a stream": {"status": 400, "code": "invalid_request"}}},
    "cut": {
        "openai": {
            "an error in a stream": {
                "error": {"kind": "APIError", "status": None, "code": "engine_failed", "named": True},
                "before": "Hello",
            },
        },
        "anthropic": {"an error in a stream": {"kind": "APIError", "status": None, "type": "api_error"}},
        "ai-sdk": {"an error in a stream": {"before": "Hello", "failed": True}},
        "continue": {
            "an error in a stream": {"status": None, "code": "engine_failed"},
            "lines with an error": "an error",
        },
        "ollama": {"an error in a stream": "an error"},
    },
    "slow": {
        "openai": {"comments": {"said": True}},
        "anthropic": {"comments": "max_tokens"},
        "ai-sdk": {"comments": {"said": True}},
        "continue": {"comments": {"said": True}, "lines with comments": {"said": True}},
        "ollama": {"comments": {"said": True}},
    },
}  # fmt: skip
"""By what a scenario needs of the house: the name that it has among the house's models."""


def expected_of(client: str, roles: Collection[str]) -> dict[str, Any]:
    """A client's scenarios in a house with models for these roles, and what each must give."""
    parts = [outcomes[client] for role, outcomes in WITH.items() if role in roles and client in outcomes]
    merged = dict(EVERYWHERE[client])
    for part in parts:
        merged |= part
    return merged
