"""Kilo Code. Source: its command line 7.7.9, which is built on opencode and the AI SDK."""

import json
from collections.abc import Sequence

from deployments.editors.bodies import functions
from deployments.editors.client import Client, Part, Setup
from deployments.editors.clients.agents import SDK_MEANINGS, agent_chat, short_chat
from deployments.editors.offered import OfferedModel
from deployments.editors.picks import calls_tools
from deployments.editors.rules.chat import COMPLETION_STREAM
from deployments.editors.step import Skip, Step

_AGENT_BYTES = 57_600
_USER_AGENT = "ai-sdk/openai-compatible/2.0.92"


def _settings(setup: Setup) -> list[Part]:
    models = {model.name: _limits(model) for model in setup.models if model.task == "generate"}
    options = {"baseURL": setup.base_url, "apiKey": setup.key_text}
    provider = {"npm": "@ai-sdk/openai-compatible", "name": "Enginehouse", "options": options, "models": models}
    document = {"provider": {"enginehouse": provider}}
    parts = [Part("~/.config/kilo/kilo.json", json.dumps(document, indent=2), home_file=".config/kilo/kilo.json")]
    model = setup.picks.completion
    if model is not None:
        rows = f"URL      {setup.base_url}/completions\nAPI key  {setup.key_text}\nModel    {model.name}"
        parts.append(Part("Kilo's settings, 'Autocomplete', a custom provider", rows))
    return parts


def _limits(model: OfferedModel) -> dict[str, object]:
    limit = {"context": model.told_model_len, "output": model.told_model_len // 4}
    return {"name": model.name, "tool_call": calls_tools(model), "limit": limit}


def _first_requests(setup: Setup) -> Sequence[Step | Skip]:
    model, completing = setup.picks.agent, setup.picks.completion
    steps: list[Step | Skip] = []
    if model is None:
        steps.append(Skip("chat", "no model generates text"))
    else:
        steps.append(short_chat(setup, model, _USER_AGENT))
        steps.append(agent_chat(setup, model, _USER_AGENT, _AGENT_BYTES, functions(21, 1_400)))
    if completing is None:
        return [*steps, Skip("autocomplete", "no model is known to complete code in the middle")]
    body = {
        "model": completing.name, "prompt": "def add(a, b):\n    return ", "suffix": "\n", "max_tokens": 256,
        "temperature": 0.2, "stream": True,
    }  # fmt: skip
    headers = {"content-type": "application/json", "Authorization": f"Bearer {setup.key_text}"}
    return [*steps, Step("autocomplete", "/v1/completions", COMPLETION_STREAM, headers=headers, body=body)]


CLIENT = Client("kilo", "Kilo Code", ("agent", "completion"), _settings, _first_requests, SDK_MEANINGS)
