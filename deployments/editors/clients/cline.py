"""Cline. Source: its extension 4.1 and command line 3.0, which use the AI SDK's openai-compatible provider."""

from collections.abc import Sequence

from deployments.editors.bodies import functions
from deployments.editors.client import Client, Part, Setup
from deployments.editors.clients.agents import SDK_MEANINGS, Habits, first_chats
from deployments.editors.rules.basic import lists_models, ok
from deployments.editors.step import Skip, Step

_HABITS = Habits(
    {"user-agent": "ai-sdk/openai-compatible/2.0.92"},
    num_bytes=21_800,
    tools=functions(25, 600),
    fields={"temperature": 0, "parallel_tool_calls": True},
)


def _settings(setup: Setup) -> list[Part]:
    model = setup.picks.agent
    if model is None:
        return []
    rows = [
        "API Provider      OpenAI Compatible",
        f"Base URL          {setup.base_url}",
        f"API Key           {setup.key_text}",
        f"Model ID          {model.name}",
        f"Context Window    {model.told_model_len}",
        f"Max Output Tokens {model.told_model_len // 4}",
    ]
    command = f"cline auth -p openai -b {setup.base_url} -k {setup.key_text} -m {model.name}"
    return [Part("Cline's settings, 'API Configuration'", "\n".join(rows)), Part("or, for its command line", command)]


def _first_requests(setup: Setup) -> Sequence[Step | Skip]:
    models = Step("models", "/v1/models", [ok, lists_models], method="GET", headers=setup.bearer())
    return [models, *first_chats(setup, _HABITS)]


CLIENT = Client("cline", "Cline", ("agent",), _settings, _first_requests, SDK_MEANINGS)
