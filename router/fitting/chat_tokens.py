"""How many tokens the prompt of a chat has, before it is asked."""

import aiohttp

from router.fitting.profiles import PROFILES
from router.replicas.questions import ask_replica
from router.replicas.registry import Replica

_TEMPLATE_FIELDS = ("messages", "tools", "tool_choice", "chat_template_kwargs")
_BYTES_PER_TOKEN = 4
"""Of English and of code, by the tokenizers of today's models: 3.5 to 4.5."""
_TOKENS_PER_MESSAGE = 4
"""Of a chat template, around each message."""
_TOKENS_PER_IMAGE = 1500
"""About what a picture of a screen costs a vision model."""
_WHAT = "count a prompt's tokens"


async def count_chat_tokens(
    body: dict[str, object], name: str, replica: Replica, session: aiohttp.ClientSession
) -> int | None:
    """
    By the engine's own chat template and tokeniser; None where it has no such route, or does not answer there.

    Args:
        body: a chat completion's.
        name: what the engine calls the model.
        replica: whose engine is asked.
        session: to ask with.
    """
    profile = PROFILES[replica.profile]
    question = {field: body[field] for field in _TEMPLATE_FIELDS if field in body}
    if profile.counts_tokens is not None:
        asked = {"model": name, **{field: value for field, value in question.items() if field != "tool_choice"}}
        count = (await ask_replica(replica, profile.counts_tokens, asked, session, _WHAT)).get("count")
        return count if isinstance(count, int) else None
    if profile.applies_template is None:
        return None
    prompt = (await ask_replica(replica, profile.applies_template, question, session, _WHAT)).get("prompt")
    if not isinstance(prompt, str):
        return None
    text = {"content": prompt, "add_special": True, "parse_special": True}
    tokens = (await ask_replica(replica, "/tokenize", text, session, _WHAT)).get("tokens")
    return len(tokens) if isinstance(tokens, list) else None


def estimate_chat_tokens(body: dict[str, object]) -> int:
    """
    Where no engine says it: from the bytes of all that is text, and a fixed number for each message and image.

    It is not meant to be exact, but not to be far too low: clients make room by it.
    """
    messages = body.get("messages")
    num_messages = len(messages) if isinstance(messages, list) else 0
    num_bytes, num_images = _measure([messages, body.get("tools")])
    return -(-num_bytes // _BYTES_PER_TOKEN) + _TOKENS_PER_MESSAGE * num_messages + _TOKENS_PER_IMAGE * num_images


def _measure(value: object) -> tuple[int, int]:
    """Bytes of the strings in it, names included, and its images."""
    if isinstance(value, str):
        return len(value.encode(errors="replace")), 0
    if isinstance(value, dict):
        if value.get("type") == "image_url":
            return 0, 1
        parts = [_measure(part) for pair in value.items() for part in pair]
    elif isinstance(value, list):
        parts = [_measure(part) for part in value]
    else:
        return 0, 0
    return sum(part[0] for part in parts), sum(part[1] for part in parts)
