"""Kilo Code. Source: its command line 7.7.9, built on opencode and the AI SDK, which is its extension's server, too."""

import json
from collections.abc import Sequence

from deployments.editors.bodies import functions
from deployments.editors.client import Client, Part, Setup
from deployments.editors.clients.agents import SDK_MEANINGS, Habits, first_chats
from deployments.editors.offered import OfferedModel
from deployments.editors.picks import calls_tools
from deployments.editors.rules.chat import COMPLETION_STREAM
from deployments.editors.step import Skip, Step

_HABITS = Habits(
    {
        "user-agent": "Kilo-Code/7.7.9 ai-sdk/provider-utils/4.0.27 runtime/bun/1.3.14",
        "x-title": "Kilo Code",
        "x-session-id": "ses_check",
        "x-session-affinity": "ses_check",
    },
    num_bytes=57_600,
    tools=functions(21, 1_400),
)


def _settings(setup: Setup) -> list[Part]:
    models = {model.name: _limits(model) for model in setup.models if model.task == "generate"}
    options = {"baseURL": setup.base_url, "apiKey": setup.key_text}
    provider = {"npm": "@ai-sdk/openai-compatible", "name": "Enginehouse", "options": options, "models": models}
    document = {"provider": {"enginehouse": provider}}
    return [Part("~/.config/kilo/kilo.json", json.dumps(document, indent=2), home_file=".config/kilo/kilo.json")]


def _limits(model: OfferedModel) -> dict[str, object]:
    limit = {"context": model.told_model_len, "output": model.told_model_len // 4}
    return {"name": model.name, "tool_call": calls_tools(model), "limit": limit}


def _first_requests(setup: Setup) -> Sequence[Step | Skip]:
    steps, completing = first_chats(setup, _HABITS), setup.picks.completion
    if completing is None:
        return [*steps, Skip("autocomplete", "no model is known to complete code in the middle")]
    body = {
        "model": completing.name, "prompt": "def add(a, b):\n    return ", "suffix": "\n", "max_tokens": 256,
        "temperature": 0.2, "stream": True,
    }  # fmt: skip
    headers = {"content-type": "application/json", "Authorization": f"Bearer {setup.key_text}"}
    return [*steps, Step("autocomplete", "/v1/completions", COMPLETION_STREAM, headers=headers, body=body)]


CLIENT = Client("kilo", "Kilo Code", ("agent",), _settings, _first_requests, SDK_MEANINGS)
