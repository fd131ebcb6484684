"""Roo Code. Source: its release of April 2026, which uses OpenAI's SDK."""

import json
from collections.abc import Sequence

from deployments.editors.bodies import functions
from deployments.editors.client import Client, Part, Setup
from deployments.editors.clients.agents import SDK_MEANINGS, agent_chat, short_chat
from deployments.editors.rules.basic import lists_models, ok
from deployments.editors.step import Skip, Step

_AGENT_BYTES = 40_000
_USER_AGENT = "RooCode/3.60.0"
_PROFILE = "enginehouse"


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
    model = setup.picks.agent
    models = Step("models", "/v1/models", [ok, lists_models], method="GET", headers=setup.bearer())
    if model is None:
        return [models, Skip("chat", "no model generates text")]
    tools = functions(20, 1_000, is_strict=True)
    return [
        models,
        short_chat(setup, model, _USER_AGENT),
        agent_chat(setup, model, _USER_AGENT, _AGENT_BYTES, tools),
    ]


CLIENT = Client("roo", "Roo Code", ("agent",), _settings, _first_requests, SDK_MEANINGS)
