"""Twinny. Source: its last release, of August 2025."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from deployments.editors.client import Client, Part, Setup
from deployments.editors.rules.chat import COMPLETION_STREAM, STREAM, no_usage
from deployments.editors.step import Skip, Step


def _settings(setup: Setup) -> list[Part]:
    picks = setup.picks
    parts = []
    for title, model, path in (
        ("chat", picks.agent, "/v1/chat/completions"),
        ("FIM", picks.completion, "/v1/completions"),
    ):
        if model is not None:
            parts.append(Part(f"Twinny's providers, a new one of type {title}", _rows(setup, model.name, path)))
    return parts


def _rows(setup: Setup, model: str, path: str) -> str:
    address = urlsplit(setup.origin)
    port = address.port or {"http": 80, "https": 443}[address.scheme]
    return "\n".join(
        [
            "Provider  OpenAI compatible",
            f"Protocol  {address.scheme}",
            f"Hostname  {address.hostname}",
            f"Port      {port}",
            f"Path      {address.path}{path}",
            f"Model     {model}",
            f"API key   {setup.key_text}",
        ]
    )


def _first_requests(setup: Setup) -> Sequence[Step | Skip]:
    picks = setup.picks
    headers = {"content-type": "application/json", "Authorization": f"Bearer {setup.key.text}" if setup.key else ""}
    steps: list[Step | Skip] = []
    if picks.agent is None:
        steps.append(Skip("chat", "no model generates text"))
    else:
        chat = {"model": picks.agent.name, "stream": True, "max_tokens": 64, "temperature": 0.2,
                "messages": [{"role": "user", "content": "Say hello."}]}  # fmt: skip
        steps.append(Step("chat", "/v1/chat/completions", [*STREAM, no_usage], headers=headers, body=chat))
    if picks.completion is None:
        return [*steps, Skip("FIM", "no model is known to complete code in the middle")]
    body = {
        "model": picks.completion.name, "stream": True, "keep_alive": "5m", "temperature": 0.2,
        "prompt": "<|fim_prefix|>def add(a, b):\n    return <|fim_suffix|>\n<|fim_middle|>",
        "options": {"temperature": 0.2, "num_predict": 512},
    }  # fmt: skip
    return [*steps, Step("FIM", "/v1/completions", [*COMPLETION_STREAM, no_usage], headers=headers, body=body)]


CLIENT = Client("twinny", "Twinny", ("agent", "completion"), _settings, _first_requests)
