"""The forks of huggingface-vscode-chat with an endpoint of one's own. Source: their versions 0.0.6 and 1.0.1."""

import json
from collections.abc import Sequence

from deployments.editors.client import Client, Part, Setup
from deployments.editors.rules.basic import lists_models, ok
from deployments.editors.rules.chat import STREAM, no_usage
from deployments.editors.step import Skip, Step


def _settings(setup: Setup) -> list[Part]:
    """Neither can send a key, so it stands in the address. The older setting is that of versions 0.0.5 and 0.0.6."""
    endpoint = setup.keyed_origin
    both = {"huggingface.customTGIEndpoint": endpoint, "huggingface.localEndpoint": endpoint}
    return [Part("settings.json", json.dumps(both, indent=2))]


def _first_requests(setup: Setup) -> Sequence[Step | Skip]:
    model = setup.picks.agent
    base = setup.keyed_origin.removeprefix(setup.origin)
    steps: list[Step | Skip] = [
        Step("models, without a header", f"{base}/v1/models", [ok, lists_models], method="GET"),
        Step("health before each chat", f"{base}/health", [ok], method="GET"),
    ]
    if model is None:
        return [*steps, Skip("chat", "no model generates text")]
    body = {
        "model": model.name, "messages": [{"role": "user", "content": "Say hello."}], "stream": True, "max_tokens": 64,
        "temperature": 0.7,
    }  # fmt: skip
    headers = {"content-type": "application/json"}
    # 0.0.6 sends a key that is none; where the path has the true one, that must count.
    dummy = {**headers, "Authorization": "Bearer dummy"}
    path = f"{base}/v1/chat/completions"
    return [
        *steps,
        Step("chat, with the key `dummy`", path, [*STREAM, no_usage], headers=dummy, body=body, model=model.name),
        Step("chat, without a header", path, [*STREAM, no_usage], headers=headers, body=body, model=model.name),
    ]


CLIENT = Client(
    name="huggingface",
    title="huggingface-vscode-chat with customTGIEndpoint or localEndpoint",
    roles=("agent",),
    settings=_settings,
    first_requests=_first_requests,
    meanings={401: "it shows no models and no reason", 404: "it shows no models and no reason"},
)
