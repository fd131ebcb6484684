"""Continue, the extension and its command line. Source: Continue CLI 1.5, the extension 1.3, openai-adapters 1.37."""

from collections.abc import Sequence
from typing import Any

import yaml

from deployments.editors.bodies import fitted, functions
from deployments.editors.client import Client, Part, Setup
from deployments.editors.offered import OfferedModel
from deployments.editors.picks import calls_tools
from deployments.editors.rules.basic import has, lists_models, ok
from deployments.editors.rules.chat import FIM_STREAM, STREAM, usage_at_the_end
from deployments.editors.step import Skip, Step

_CHAT_BYTES = 14_000
_CHAT_TOKENS = 3_500
_NUM_TOOLS = 10
_STOPS = [
    "<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<file_sep>", "<|endoftext|>", "</fim_middle>", "</code>", "/src/",
    "#- coding: utf-8", "```",
]  # fmt: skip
"""Of every completion, whichever model is asked, in a file of Python."""


def _settings(setup: Setup) -> list[Part]:
    picks = setup.picks
    models = []
    if picks.agent is not None:
        models.append(_chat_model(setup, picks.agent))
    if picks.completion is not None:
        # Its providers `openai` and `vllm` write the prompt themselves, with the marks that they guess by the name:
        # StarCoder's for an alias. This one sends what is before and behind the cursor.
        models.append(_model(setup, picks.completion, "mistral", "autocomplete"))
    if picks.embedding is not None:
        models.append(_model(setup, picks.embedding, "openai", "embed"))
    if picks.reranking is not None:
        models.append(_model(setup, picks.reranking, "vllm", "rerank"))  # its provider `openai` reads another shape
    document = {"name": "Enginehouse", "version": "1.0.0", "schema": "v1", "models": models}
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return [Part("~/.continue/config.yaml", text, home_file=".continue/config.yaml")]


def _model(setup: Setup, model: OfferedModel, provider: str, *roles: str) -> dict[str, Any]:
    """Its addresses are joined without a slash, so the base ends with one."""
    named = {"name": f"{model.name} ({roles[0]})", "provider": provider, "model": model.name}
    return {**named, "apiBase": f"{setup.base_url}/", "apiKey": setup.key_text, "roles": list(roles)}


def _chat_model(setup: Setup, model: OfferedModel) -> dict[str, Any]:
    entry = _model(setup, model, "openai", "chat", "edit", "apply")
    options = {"contextLength": model.told_model_len, "maxTokens": model.told_model_len // 4}
    able = [word for word, is_able in _abilities(model) if is_able]
    return {**entry, "capabilities": able, "defaultCompletionOptions": options}


def _abilities(model: OfferedModel) -> list[tuple[str, bool]]:
    return [("tool_use", calls_tools(model)), ("image_input", model.can("vision") is True)]


def _first_requests(setup: Setup) -> Sequence[Step | Skip]:
    headers = {"content-type": "application/json", "user-agent": "ls/JS 5.23.2", "Authorization": _authorization(setup)}
    models = Step("models", "/v1/models", [ok, lists_models], method="GET", headers=headers)
    return [models, *_chats(setup, headers), *_others(setup, headers)]


def _chats(setup: Setup, headers: dict[str, str]) -> list[Step | Skip]:
    model = setup.picks.agent
    if model is None:
        return [Skip("chat", "no model generates text")]
    asked = {
        "model": model.name, "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 64,
    }  # fmt: skip
    turn = {"role": "user", "content": "Say hello."}
    agent = fitted(
        lambda text: {
            **asked,
            "messages": [{"role": "system", "content": text}, turn],
            "tools": functions(_NUM_TOOLS, 700),
            "parallel_tool_calls": False,
        },
        _CHAT_BYTES,
    )
    path, rules = "/v1/chat/completions", [*STREAM, usage_at_the_end]
    return [
        Step("chat", path, rules, headers=headers, body={**asked, "messages": [turn]}, model=model.name),
        Step(
            f"agent, {_NUM_TOOLS} tools", path, rules, headers=headers, body=agent, model=model.name,
            max_model_len=model.max_model_len, num_tokens=_CHAT_TOKENS,
        ),
    ]  # fmt: skip


def _others(setup: Setup, headers: dict[str, str]) -> list[Step | Skip]:
    picks = setup.picks
    steps: list[Step | Skip] = []
    if picks.completion is None:
        steps.append(Skip("autocomplete", "no model is known to complete code in the middle"))
    else:
        body = {
            "model": picks.completion.name, "stream": True, "max_tokens": 4096, "temperature": 0.01,
            "prompt": "\n# add.py\ndef add(a, b):\n    ", "suffix": "\n", "stop": _STOPS,
        }  # fmt: skip
        fim_headers = {
            **headers, "accept": "application/json", "user-agent": "node-fetch", "x-api-key": setup.key_text,
        }  # fmt: skip
        path = "/v1/fim/completions"
        steps.append(Step("autocomplete", path, FIM_STREAM, headers=fim_headers, body=body, max_events=40))
    if picks.embedding is None:
        steps.append(Skip("embed", "no model makes vectors"))
    else:
        vectors = {"model": picks.embedding.name, "input": ["def add(a, b): ..."], "encoding_format": "float"}
        rules = [ok, has(["data", 0, "embedding"], list)]
        steps.append(Step("embed", "/v1/embeddings", rules, headers=headers, body=vectors))
    if picks.reranking is None:
        steps.append(Skip("rerank", "no model ranks documents"))
    else:
        ranks = {"model": picks.reranking.name, "query": "add", "documents": ["def add(a, b): ...", "import os"]}
        rules = [ok, has(["results", 0, "index"], int), has(["results", 0, "relevance_score"], (int, float))]
        steps.append(Step("rerank", "/v1/rerank", rules, headers=headers, body=ranks))
    return steps


def _authorization(setup: Setup) -> str:
    return f"Bearer {setup.key_text}"


CLIENT = Client(
    name="continue",
    title="Continue",
    roles=("agent", "completion", "embedding", "reranking"),
    settings=_settings,
    first_requests=_first_requests,
)
