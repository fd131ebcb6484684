"""Codex, the command line and the extension. Source: Codex 0.169."""

import json
from collections.abc import Sequence
from typing import Any

from deployments.editors.bodies import Body, fitted, flat_functions
from deployments.editors.client import Client, Part, Setup
from deployments.editors.rules.messages import RESPONSE_STREAM
from deployments.editors.step import Skip, Step

_FIRST_BYTES = 39_600
_FIRST_TOKENS = 9_000


def _settings(setup: Setup) -> list[Part]:
    model = setup.picks.agent
    if model is None:
        return []
    lines = [
        f"model = {json.dumps(model.name)}",
        'model_provider = "enginehouse"',
        *([f"model_context_window = {model.max_model_len}"] if model.max_model_len else []),
        "",
        "[model_providers.enginehouse]",
        'name = "Enginehouse"',
        f"base_url = {json.dumps(setup.base_url)}",
        *([f"env_key = {json.dumps(setup.key.env)}"] if setup.key else []),
        'wire_api = "responses"',
        "",
    ]
    return [Part("~/.codex/config.toml", "\n".join(lines), home_file=".codex/config.toml")]


def _first_requests(setup: Setup) -> Sequence[Step | Skip]:
    model = setup.picks.agent
    if model is None:
        return [Skip("a turn", "no model generates text")]
    headers = {
        "content-type": "application/json", "accept": "text/event-stream", "user-agent": "codex_exec/0.169.0",
        "originator": "codex_exec", **setup.bearer(),
    }  # fmt: skip
    short = {**_asked(model.name), "instructions": "Answer briefly.", "max_output_tokens": 64}
    first = fitted(lambda text: {**_asked(model.name), "instructions": text, "tools": _tools()}, _FIRST_BYTES)
    return [
        Step("a short turn", "/v1/responses", RESPONSE_STREAM, headers=headers, body=short, model=model.name),
        Step(
            f"the first turn, {_FIRST_BYTES // 1000} KB", "/v1/responses", RESPONSE_STREAM, headers=headers, body=first,
            model=model.name, max_model_len=model.max_model_len, num_tokens=_FIRST_TOKENS, max_events=40,
        ),
    ]  # fmt: skip


def _asked(model: str) -> Body:
    return {
        "model": model, "stream": True, "store": False, "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "0d7a6f0e-55c7-4a0b-8d59-54b1c6f7e8d9", "client_metadata": {"session": "1"},
        "reasoning": {"summary": "auto"}, "tool_choice": "auto", "parallel_tool_calls": False,
        "input": [
            _said("developer", "The sandbox is read-only."), _said("user", "The folder is /work."),
            _said("user", "Say hello."),
        ],
    }  # fmt: skip


def _said(role: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def _tools() -> list[Body]:
    """Functions, a name space of them, and a tool that OpenAI runs."""
    space = {"type": "namespace", "name": "agents", "description": "Others.", "tools": flat_functions(2, 600)}
    return [*flat_functions(8, 1_200), space, {"type": "web_search", "external_web_access": False}]


CLIENT = Client(
    name="codex",
    title="Codex",
    roles=("agent",),
    settings=_settings,
    first_requests=_first_requests,
    meanings={429: "Codex gives up at once: 429 must be for quota only", 503: "Codex tries again"},
)
