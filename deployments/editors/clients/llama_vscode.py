"""llama.vscode. Source: its version 0.0.63."""

import json
from collections.abc import Sequence
from typing import Any

from deployments.editors.client import Client, Part, Setup
from deployments.editors.rules.basic import has, lists_models, ok
from deployments.editors.step import Skip, Step


def _settings(setup: Setup) -> list[Part]:
    """It joins `/infill` to the one address and `/v1/...` to the others, so none has a path."""
    picks = setup.picks
    key = setup.key.text if setup.key else ""
    settings: dict[str, Any] = {
        "llama-vscode.ask_install_llamacpp": False
    }  # the dialog would run a script from the net
    if picks.completion is not None:
        settings |= {"llama-vscode.endpoint": setup.origin, "llama-vscode.api_key": key}
    if picks.agent is not None:
        settings |= {
            "llama-vscode.endpoint_chat": setup.origin, "llama-vscode.api_key_chat": key,
            "llama-vscode.endpoint_tools": setup.origin, "llama-vscode.api_key_tools": key,
            "llama-vscode.ai_model": picks.agent.name,
        }  # fmt: skip
    if picks.embedding is not None:
        settings |= {"llama-vscode.endpoint_embeddings": setup.origin, "llama-vscode.api_key_embeddings": key}
    return [Part("settings.json", json.dumps(settings, indent=2))]


def _first_requests(setup: Setup) -> Sequence[Step | Skip]:
    headers = {"content-type": "application/json", **setup.bearer()}
    steps: list[Step | Skip] = [Step("models", "/v1/models", [ok, lists_models], method="GET", headers=setup.bearer())]
    if setup.picks.completion is None:
        return [*steps, Skip("infill", "no model is known to complete code in the middle")]
    rules = [ok, has(["content"], str), has(["generation_settings"], dict)]
    return [
        *steps,
        Step("infill, while typing", "/infill", rules, headers=headers, body=_infill(128)),
        Step("infill, ahead of time", "/infill", [ok, has(["generation_settings"], dict)], headers=headers,
             body=_infill(0)),
    ]  # fmt: skip


def _infill(num_tokens: int) -> dict[str, Any]:
    """`model` is the extension's own default: a name that no cluster has."""
    extra = [{"text": "def add(a, b): ...", "time": 1, "filename": "a.py"}]
    return {
        "id_slot": 0, "input_prefix": "import a\n", "input_suffix": "\n", "input_extra": extra, "prompt": "x = a.add(",
        "n_predict": num_tokens, "n_cmpl": 1, "top_k": 40, "top_p": 0.99, "stream": False,
        "samplers": ["top_k", "top_p", "infill"], "cache_prompt": True, "t_max_prompt_ms": 500,
        "t_max_predict_ms": 500, "model": "google/gemini-2.5-flash",
    }  # fmt: skip


CLIENT = Client(
    name="llama-vscode",
    title="llama.vscode",
    roles=("completion", "agent", "embedding"),
    settings=_settings,
    first_requests=_first_requests,
)
