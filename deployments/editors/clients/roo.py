"""Roo Code. Source: its extension 3.52.1 of April 2026, which uses OpenAI's SDK, and what a router saw of it."""

import json
from collections.abc import Sequence

from deployments.editors.bodies import functions
from deployments.editors.client import Client, Part, Setup
from deployments.editors.clients.agents import Habits, first_chats
from deployments.editors.rules.basic import lists_models, ok
from deployments.editors.step import Skip, Step

_HABITS = Habits(
    {"user-agent": "RooCode/3.52.1", "x-title": "Roo Code"},
    num_bytes=38_600,
    tools=functions(13, 1_400, is_strict=True),
    fields={"temperature": 0, "parallel_tool_calls": True},
)
_PROFILE = "enginehouse"
_MEANINGS = {
    429: "it tries again twice, after 0.5 to 8 seconds",
    503: "it tries again twice, after 0.5 to 8 seconds, and then offers to retry",
}


def _settings(setup: Setup) -> list[Part]:
    model = setup.picks.agent
    if model is None:
        return []
    profile = {
        "apiProvider": "openai",
        "openAiBaseUrl": setup.base_url,
        "openAiApiKey": setup.key_text,
        "openAiModelId": model.name,
        "openAiStreamingEnabled": True,
        "openAiCustomModelInfo": {
            "contextWindow": model.told_model_len,
            "maxTokens": model.told_model_len // 4,
            "supportsImages": model.can("vision") is True,
            "supportsPromptCache": False,
        },
    }
    document = {
        "providerProfiles": {"currentApiConfigName": _PROFILE, "apiConfigs": {_PROFILE: profile}},
        "globalSettings": {},
    }
    where = "a file for Roo's 'Settings, About, Import', or for roo-cline.autoImportSettingsPath"
    return [Part(where, json.dumps(document, indent=2))]


def _first_requests(setup: Setup) -> Sequence[Step | Skip]:
    models = Step("models", "/v1/models", [ok, lists_models], method="GET", headers=setup.bearer())
    return [models, *first_chats(setup, _HABITS)]


CLIENT = Client("roo", "Roo Code", ("agent",), _settings, _first_requests, _MEANINGS)
