"""Ready-made settings for editors. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from configs.engine import Task


@dataclass(slots=True, frozen=True)
class OfferedModel:
    """A model as `/v1/models` lists it. `max_model_len` is in tokens."""

    name: str
    max_model_len: int
    task: Task = "generate"


def copilot_settings(base_url: str, models: Sequence[OfferedModel], *, needs_key: bool) -> str:
    """
    The content of VS Code's `chatLanguageModels.json` for Copilot Chat's custom endpoint.

    A key cannot stand in that file as `apiKey`: VS Code drops it there without a word. A request header works.

    Args:
        base_url: where clients reach the router, with `/v1`.
        models: what to offer. Only those that generate can be chatted with; the others are left out.
        needs_key: whether the router asks for a key.
    """
    headers = {"requestHeaders": {"Authorization": "Bearer YOUR_KEY"}} if needs_key else {}
    group = {
        "vendor": "customendpoint",
        "name": "Enginehouse",
        "models": [
            {
                "id": model.name,
                "name": f"Enginehouse {model.name}",
                "url": f"{base_url}/chat/completions",
                "toolCalling": False,
                "vision": False,
                "maxInputTokens": model.max_model_len * 3 // 4,
                "maxOutputTokens": model.max_model_len // 4,
                **headers,
            }
            for model in models
            if model.task == "generate"
        ],
    }
    return json.dumps([group], indent=2)
