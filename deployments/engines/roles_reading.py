"""What a model's chat template takes: found out by rendering small chats, or by reading it where nobody renders."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from configs.engine import EngineSettings, TensorRtLlmSettings
from configs.roles import RoleRefusal
from deployments.engines.interview import Interview

_Message: TypeAlias = dict[str, str]


def _said(role: str, text: str) -> _Message:
    return {"role": role, "content": text}


_USER, _ANSWER = _said("user", "Ada"), _said("assistant", "Bob")
_NOBODY = "zebra"
"""A role that no template knows. One that shows it shows any role, whether the model knows it or not."""

_CHATS: dict[RoleRefusal, tuple[tuple[_Message, ...], ...]] = {
    "developer": ((_said("developer", "Eve"), _USER),),
    "system": ((_said("system", "Eve"), _USER),),
    "late_system": (
        (_said("system", "Cid"), _USER, _ANSWER, _said("system", "Eve"), _said("user", "Dan")),
        (_said("system", "Cid"), _USER, _said("system", "Eve")),
    ),
    "neighbours": ((_USER, _said("user", "Eve")), (_USER, _ANSWER, _said("assistant", "Eve"), _said("user", "Dan"))),
}
"""Chats that a template takes, or does not: all their words must be in what it makes of them."""

_WORDS: dict[RoleRefusal, re.Pattern[str]] = {
    "neighbours": re.compile(r"raise_exception\([^)]*alternat", re.IGNORECASE),
    "system": re.compile(r"raise_exception\([^)]*system role (is )?not supported", re.IGNORECASE),
    "late_system": re.compile(r"raise_exception\([^)]*system message (must|should|can only) be", re.IGNORECASE),
}
"""How templates complain."""


async def read_refusals(settings: EngineSettings, profile: str, interview: Interview) -> tuple[RoleRefusal, ...]:
    """Empty where nothing is refused, and where nobody knows."""
    if settings.task != "generate":
        return ()
    if isinstance(settings, TensorRtLlmSettings):
        template = await asyncio.to_thread(template_of_folder, settings)
        return () if template is None else tuple(refused_by_words(template))
    if profile not in ("llama_cpp", "vllm") or await _render((_USER,), profile, interview) is None:
        return ()
    found = [name for name, chats in _CHATS.items() if await _is_refused(chats, profile, interview)]
    if "developer" not in found and await _shows_any_role(profile, interview):
        found.insert(0, "developer")
    return tuple(found)


def refused_by_words(template: str) -> Iterator[RoleRefusal]:
    """By what the template itself says that it does not take."""
    if "developer" not in template:
        yield "developer"
    yield from (name for name, words in _WORDS.items() if words.search(template))


def template_of_folder(settings: TensorRtLlmSettings) -> str | None:
    """The text of the chat template that the settings name, or that is in the model's folder; None for none."""
    folder = Path(settings.tokenizer_source or settings.model_source)
    for path in (settings.chat_template, folder / "chat_template.jinja"):
        text = None if path is None else _text_of(Path(path))
        if text is not None:
            return text
    try:
        template = orjson.loads((folder / "tokenizer_config.json").read_bytes()).get("chat_template")
    except (OSError, orjson.JSONDecodeError, AttributeError):
        return None
    if isinstance(template, list):  # several, of which the one of that name is used
        named = [one.get("template") for one in template if isinstance(one, dict) and one.get("name") == "default"]
        template = named[0] if named else None
    return template if isinstance(template, str) else None


def _text_of(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


async def _is_refused(chats: Sequence[Sequence[_Message]], profile: str, interview: Interview) -> bool:
    for chat in chats:
        rendered = await _render(chat, profile, interview)
        if rendered is None or any(message["content"] not in rendered for message in chat):
            return True
    return False


async def _shows_any_role(profile: str, interview: Interview) -> bool:
    rendered = await _render((_said(_NOBODY, "Eve"), _USER), profile, interview)
    return rendered is not None and _NOBODY in rendered


async def _render(chat: Sequence[_Message], profile: str, interview: Interview) -> str | None:
    """The prompt that the engine makes of a chat; None where it refuses, or does not say."""
    question: dict[str, Any] = {"model": interview.model, "messages": list(chat)}
    if profile == "llama_cpp":
        prompt = (await interview.ask("/apply-template", question)).get("prompt")
        return prompt if isinstance(prompt, str) else None
    tokens = (await interview.ask("/tokenize", question)).get("tokens")
    if not isinstance(tokens, list):
        return None
    prompt = (await interview.ask("/detokenize", {"model": interview.model, "tokens": tokens})).get("prompt")
    return prompt if isinstance(prompt, str) else None
