"""GitHub Copilot Chat in VS Code, with a custom endpoint. Source: Copilot Chat 0.67 in VS Code 1.139."""

import json
from collections.abc import Sequence
from typing import Any

from deployments.editors.bodies import Body, anthropic_tools, fitted, flat_functions, functions
from deployments.editors.client import Client, Part, Setup
from deployments.editors.offered import OfferedModel
from deployments.editors.picks import calls_tools
from deployments.editors.rules.basic import names_its_request, ok, refused_with, whole
from deployments.editors.rules.chat import STREAM, usage_at_the_end, whole_chat
from deployments.editors.rules.messages import MESSAGE_STREAM, RESPONSE_STREAM
from deployments.editors.step import Skip, Step

AGENT_BYTES = 71_600
NUM_TOOLS = 40
AGENT_TOKENS = 18_000
_TOOL_BYTES = 1_100
_HEADERS = {
    "content-type": "application/json",
    "user-agent": "GitHubCopilotChat/0.67.0",
    "x-request-id": "5f0c8a52-7f6e-4f0f-9a43-3c1e7d0a1b2c",
    "x-interaction-id": "0d7a6f0e-55c7-4a0b-8d59-54b1c6f7e8d9",
    "x-interaction-type": "conversation-agent",
    "x-initiator": "user",
    "openai-intent": "conversation-agent",
    "x-github-api-version": "2025-05-01",
}
_TURNS = [{"role": "user", "content": "The workspace has one file, a.py."}, {"role": "user", "content": "Say hello."}]
"""Two messages of the user in a row, as Copilot sends them."""


def copilot_settings(setup: Setup) -> str:
    """
    The content of VS Code's `chatLanguageModels.json`.

    A key cannot stand in that file as `apiKey`: VS Code drops it there without a word. A request header works.
    """
    headers = {"requestHeaders": setup.bearer()} if setup.key else {}
    models = [_entry(setup, model) | headers for model in setup.models if model.task == "generate"]
    return json.dumps([{"vendor": "customendpoint", "name": "Enginehouse", "models": models}], indent=2)


def _entry(setup: Setup, model: OfferedModel) -> dict[str, Any]:
    return {
        "id": model.name,
        "name": f"Enginehouse {model.name}",
        "url": f"{setup.base_url}/chat/completions",
        "toolCalling": calls_tools(model),
        "vision": model.can("vision") is True,
        "maxInputTokens": model.told_model_len * 3 // 4,
        "maxOutputTokens": model.told_model_len // 4,
    }


def _settings(setup: Setup) -> list[Part]:
    parts = [Part("chatLanguageModels.json, by 'Chat: Manage Language Models'", copilot_settings(setup))]
    model = setup.picks.agent
    if model is not None:
        small = {"chat.utilitySmallModel": f"customendpoint/{model.name}"}
        parts.append(Part("settings.json, so that titles need no sign-in", json.dumps(small, indent=2)))
    return parts


def _first_requests(setup: Setup) -> Sequence[Step | Skip]:
    model = setup.picks.agent
    if model is None:
        return [Skip("chat", "no model generates text")]
    return [
        _step(setup, model, "chat", _chat(model.name)),
        _step(
            setup, model, f"Agent mode, {AGENT_BYTES // 1000} KB with {NUM_TOOLS} tools", _agent(model.name),
            num_tokens=AGENT_TOKENS, max_events=40,
        ),
        Step(
            "streaming off", "/v1/chat/completions", [ok, whole, whole_chat, names_its_request],
            headers={**_HEADERS, **setup.bearer()}, body=_unstreamed(model.name),
            model=model.name, max_model_len=model.max_model_len,
        ),
        Step(
            "apiType messages", "/v1/messages", MESSAGE_STREAM,
            headers={**_HEADERS, **_x_api_key(setup), "anthropic-version": "2023-06-01",
                     "anthropic-beta": "interleaved-thinking-2025-05-14"},
            body=_message(model.name), model=model.name, max_model_len=model.max_model_len,
        ),
        Step(
            "apiType responses", "/v1/responses", RESPONSE_STREAM, headers={**_HEADERS, **setup.bearer()},
            body=_response(model.name), model=model.name, max_model_len=model.max_model_len,
        ),
        Step(
            "apiType responses, second turn", "/v1/responses", [refused_with(400, "previous_response_not_found")],
            headers={**_HEADERS, **setup.bearer()}, body=_response(model.name) | {"previous_response_id": "resp_gone"},
            model=model.name, max_model_len=model.max_model_len,
        ),
    ]  # fmt: skip


def _step(
    setup: Setup, model: OfferedModel, title: str, body: Body, *, num_tokens: int = 0, max_events: int | None = None
) -> Step:
    return Step(
        title, "/v1/chat/completions", [*STREAM, usage_at_the_end, names_its_request],
        headers={**_HEADERS, **setup.bearer()}, body=body, model=model.name, max_model_len=model.max_model_len,
        num_tokens=num_tokens, max_events=max_events,
    )  # fmt: skip


def _chat(model: str) -> Body:
    """Without tools. Copilot sets no `max_tokens`; the check does, to see the end soon."""
    return {
        "model": model, "messages": [{"role": "system", "content": "Answer briefly."}, *_TURNS], "n": 1,
        "temperature": 0.1, "top_p": 1, "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 48,
    }  # fmt: skip


def _unstreamed(model: str) -> Body:
    """As for a model with `streaming: false`."""
    return {**{key: value for key, value in _chat(model).items() if key != "stream_options"}, "stream": False}


def _agent(model: str) -> Body:
    tools = functions(NUM_TOOLS, _TOOL_BYTES)
    body = {key: value for key, value in _chat(model).items() if key != "max_tokens"}
    return fitted(
        lambda text: {**body, "messages": [{"role": "system", "content": text}, *_TURNS], "tools": tools}, AGENT_BYTES
    )


def _message(model: str) -> Body:
    return {
        "model": model, "max_tokens": 64, "stream": True, "system": [{"type": "text", "text": "Answer briefly."}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Say hello."}]}],
        "tools": anthropic_tools(1, 400),
    }  # fmt: skip


def _response(model: str) -> Body:
    return {
        "model": model, "stream": True, "max_output_tokens": 64, "truncation": "disabled",
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "Say hello."}]}],
        "tools": flat_functions(1, 400),
    }  # fmt: skip


def _x_api_key(setup: Setup) -> dict[str, str]:
    return {"x-api-key": setup.key.text if setup.key else ""}


CLIENT = Client(
    name="copilot",
    title="GitHub Copilot Chat in VS Code (custom endpoint)",
    roles=("agent",),
    settings=_settings,
    first_requests=_first_requests,
    meanings={
        401: "Copilot forgets the key and shows the message",
        422: "Copilot says 'Filtered by Responsible AI Service'",
        429: "Copilot says 'Rate limit exceeded' and does not try again",
        500: "Copilot says 'Server error' and does not try again",
        503: "Copilot calls it a rate limit and does not try again",
    },
)
