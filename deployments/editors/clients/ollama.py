"""Providers of models that speak to an Ollama: VS Code's own, Ollama's extension, Continue's. Source: see each step."""

import json
from collections.abc import Sequence

from deployments.editors.bodies import functions
from deployments.editors.client import Client, Part, Setup
from deployments.editors.rules.basic import ok
from deployments.editors.rules.chat import STREAM
from deployments.editors.rules.ollama import lists_tags, ndjson_ends, new_enough, shows_abilities
from deployments.editors.step import Skip, Step


def _settings(setup: Setup) -> list[Part]:
    """None of them has a field for a key, so it stands in the address."""
    address = setup.keyed_origin
    model = setup.picks.agent
    parts = [
        Part("settings.json, for VS Code's own provider", json.dumps(
            {"github.copilot.chat.byok.ollamaEndpoint": address}, indent=2)),
        Part("for Ollama's programs and extension", f"OLLAMA_HOST={address}"),
    ]  # fmt: skip
    if model is not None:
        lines = [
            "models:", f"  - name: {model.name}", "    provider: ollama", f"    model: {model.name}",
            f"    apiBase: {address}",
        ]  # fmt: skip
        parts.append(Part("~/.continue/config.yaml, for Continue's provider", "\n".join(lines)))
    return parts


def _first_requests(setup: Setup) -> Sequence[Step | Skip]:
    base = setup.keyed_origin.removeprefix(setup.origin)
    headers = {"content-type": "application/json"}
    steps: list[Step | Skip] = [
        Step("version", f"{base}/api/version", [ok, new_enough], method="GET"),
        Step("tags", f"{base}/api/tags", [ok, lists_tags], method="GET"),
    ]
    model = setup.picks.agent
    if model is None:
        return [*steps, Skip("chat", "no model generates text")]
    turn = {"role": "user", "content": "Say hello."}
    options = {"num_predict": 64}
    chat = {"model": model.name, "messages": [turn], "stream": True, "options": options}
    openai = {"model": model.name, "messages": [turn], "stream": True, "max_tokens": 64}
    shown = [ok, shows_abilities]
    # As an Ollama does, the router refuses tools that a model does not call; its clients do not offer that model then.
    with_tools: Step | Skip = Skip("chat with tools", f"{model.name} calls no tools")
    if model.can("tools") is not False:
        asked = {**chat, "tools": functions(2, 400)}
        with_tools = Step("chat with tools", f"{base}/api/chat", [ok, ndjson_ends], headers=headers, body=asked)
    return [
        *steps,
        Step("show, as VS Code asks", f"{base}/api/show", shown, headers=headers, body={"model": model.name}),
        Step("show, as Continue asks", f"{base}/api/show", shown, headers=headers, body={"name": model.name}),
        Step("chat, as VS Code asks", f"{base}/v1/chat/completions", STREAM, headers=headers, body=openai),
        Step("chat, as Ollama's extension asks", f"{base}/api/chat", [ok, ndjson_ends], headers=headers, body=chat),
        with_tools,
    ]


CLIENT = Client(
    name="ollama",
    title="Providers for Ollama (VS Code's own, Ollama's extension, Continue's)",
    roles=("agent",),
    settings=_settings,
    first_requests=_first_requests,
)
