"""Twinny. Source: its last release, 3.23.31 of August 2025, and its requests as a router saw them."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from deployments.editors.client import Client, Part, Setup
from deployments.editors.offered import OfferedModel
from deployments.editors.rules.chat import COMPLETION_STREAM, STREAM, no_usage
from deployments.editors.step import Skip, Step


def _settings(setup: Setup) -> list[Part]:
    picks = setup.picks
    parts = []
    if picks.agent is not None:
        # Its library adds `/chat/completions` to the path.
        parts.append(_provider(setup, "chat", "openai-compatible", picks.agent, "/v1"))
    if picks.completion is not None:
        # Of its kinds of servers, this one reads an answer of `/v1/completions`; `openai-compatible` reads Ollama's.
        parts.append(_provider(setup, "fim", "lmstudio", picks.completion, "/v1/completions"))
    return parts


def _provider(setup: Setup, kind: str, server: str, model: OfferedModel, path: str) -> Part:
    """In the order of the form that it is typed into."""
    address = urlsplit(setup.origin)
    rows = {
        "Label": f"Enginehouse {kind}",
        "Type": kind,
        "Provider": server,
        "Protocol": address.scheme,
        "Model name": model.name,
        "Hostname": address.hostname,
        "Port": address.port or {"http": 80, "https": 443}[address.scheme],
        "API Path": f"{address.path}{path}",
        "API Key": setup.key_text,
    }
    text = "\n".join(f"{name:<12}{value}" for name, value in rows.items())
    return Part(f"Twinny, 'Manage twinny providers', a custom provider of type {kind}", text)


def _first_requests(setup: Setup) -> Sequence[Step | Skip]:
    picks = setup.picks
    common = {"content-type": "application/json", "Authorization": f"Bearer {setup.key.text}" if setup.key else ""}
    steps: list[Step | Skip] = []
    if picks.agent is None:
        steps.append(Skip("chat", "no model generates text"))
    else:
        told, asked = "You answer questions about code.", "Say hello."
        chat = {
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": told}]},
                {"role": "user", "content": [{"type": "text", "text": asked}]},
            ],
            "model": picks.agent.name,
            "stream": True,
        }
        headers = {**common, "user-agent": "OpenAI/JS 4.52.2"}
        path = "/v1/chat/completions"
        steps.append(Step("chat", path, [*STREAM, no_usage], headers=headers, body=chat, max_events=40))
    if picks.completion is None:
        return [*steps, Skip("FIM", "no model is known to complete code in the middle")]
    body = {
        "model": picks.completion.name, "stream": True, "temperature": 0.2, "max_tokens": 512,
        "prompt": "<|fim_prefix|>def add(a, b):\n    return <|fim_suffix|>\n<|fim_middle|>",
    }  # fmt: skip
    return [*steps, Step("FIM", "/v1/completions", [*COMPLETION_STREAM, no_usage], headers=common, body=body)]


CLIENT = Client("twinny", "Twinny", ("agent", "completion"), _settings, _first_requests)
