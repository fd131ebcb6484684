"""Claude Code, the command line and the extension. Source: Claude Code 2.1.197 and 2.1.332."""

import json
from collections.abc import Sequence
from typing import Any

from deployments.editors.bodies import Body, anthropic_tools, fitted
from deployments.editors.client import Client, Part, Setup
from deployments.editors.rules.basic import has, ok
from deployments.editors.rules.messages import MESSAGE_STREAM
from deployments.editors.step import Skip, Step

_FIRST_BYTES = 76_000
_FIRST_TOKENS = 20_000
_NUM_TOOLS = 24
_PATH = "/v1/messages?beta=true"
_BETAS = (
    "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,effort-2025-11-24,"
    "prompt-caching-scope-2026-01-05,fine-grained-tool-streaming-2025-05-14,advanced-tool-use-2025-11-20"
)


def _settings(setup: Setup) -> list[Part]:
    model = setup.picks.agent
    if model is None:
        return []
    # Claude Code 2.1.332 assumes a million tokens of a model that it does not know, and compacts too late.
    environment = {
        "ANTHROPIC_BASE_URL": setup.origin,
        "ANTHROPIC_AUTH_TOKEN": setup.key_text,
        "ANTHROPIC_MODEL": model.name,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": model.name,
        **({"CLAUDE_CODE_MAX_CONTEXT_TOKENS": str(model.max_model_len)} if model.max_model_len else {}),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    text = json.dumps({"env": environment}, indent=2)
    return [Part("~/.claude/settings.json", text, home_file=".claude/settings.json")]


def _first_requests(setup: Setup) -> Sequence[Step | Skip]:
    there = Step("whether somebody is there", "/", [ok], method="HEAD")
    model = setup.picks.agent
    if model is None:
        return [there, Skip("a turn", "no model generates text")]
    headers = {
        "content-type": "application/json", "accept": "application/json", "user-agent": "claude-cli/2.1.197",
        "anthropic-version": "2023-06-01", "anthropic-beta": _BETAS, "Authorization": f"Bearer {setup.key_text}",
    }  # fmt: skip
    first = fitted(lambda text: _first(model.name, text), _FIRST_BYTES)
    title = {
        "model": model.name, "max_tokens": 64, "stream": True, "messages": [_said("user", "Say hello.")],
        "system": [{"type": "text", "text": "Name this conversation."}], "metadata": {"user_id": "user_1_session_1"},
    }  # fmt: skip
    counted = {"model": model.name, "messages": [_said("user", "Say hello.")], "tools": anthropic_tools(1, 400)}
    return [
        there,
        Step("a conversation's name", _PATH, MESSAGE_STREAM, headers=headers, body=title, model=model.name),
        Step(
            f"the first turn, {_FIRST_BYTES // 1000} KB with {_NUM_TOOLS} tools", _PATH, MESSAGE_STREAM,
            headers=headers, body=first, model=model.name, max_model_len=model.max_model_len,
            num_tokens=_FIRST_TOKENS, max_events=40,
        ),
        Step("a count of tokens", "/v1/messages/count_tokens?beta=true", [ok, has(["input_tokens"], int)],
             headers=headers, body=counted),
    ]  # fmt: skip


def _first(model: str, instructions: str) -> Body:
    """More output than most contexts have, thinking, a system message in the middle, and fields of betas."""
    cached = {"type": "ephemeral"}
    return {
        "model": model, "max_tokens": 32_000, "stream": True, "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"}, "metadata": {"user_id": "user_1_account_1_session_1"},
        "system": [{"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197"},
                   {"type": "text", "text": instructions, "cache_control": cached}],
        "messages": [_said("user", "Say hello."), {"role": "system", "content": "The folder is /work."}],
        "tools": anthropic_tools(_NUM_TOOLS, 2_000),
    }  # fmt: skip


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}


CLIENT = Client(
    name="claude-code",
    title="Claude Code",
    roles=("agent",),
    settings=_settings,
    first_requests=_first_requests,
    meanings={503: "Claude Code tries again", 529: "Claude Code tries again"},
)
