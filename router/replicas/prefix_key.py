"""
What makes two requests share a beginning: a number for it, the same in every router. Pure.

Engines keep the KV cache of prompts that they have read, and a prompt that begins like one of them is read from there
on. So requests of one conversation should meet on one replica. Its beginning is what stays as it grows: all up to the
first answer. A session that the client names is surer still, since clients rewrite what they sent before.
"""

import hashlib
from collections.abc import Iterable, Iterator

import orjson

from router.call import Call
from router.http.asgi import Scope, header

SESSION_HEADERS = (b"x-interaction-id", b"x-session-id")
"""Copilot's name for a session, and everybody else's."""

MIN_PREFIX_BYTES = 2048
"""Size of a request, in bytes, below which a beginning that is read again costs less than a busier replica."""

_EDGE_CHARS = 512
"""Characters that are looked at from either end of a text: to know a text again takes no more."""
_MAX_MESSAGES = 4
"""Messages of a beginning that are looked at. Copilot's has three."""
_PROMPT_CHARS = 4096
"""Characters of a bare prompt that are its beginning. Nothing says where in it the first answer is."""
_PROMPT_IDS = 1024
"""The same of a prompt that is given as tokens."""
_ANSWERING_ROLES = frozenset({"assistant", "tool", "function"})


def session_of(scope: Scope) -> bytes:
    """The session that a header names; empty where none does."""
    for name in SESSION_HEADERS:
        value = header(scope, name)
        if value:
            return value
    return b""


def prefix_key(call: Call) -> int | None:
    """
    64 bits; None where there is nothing to reuse: for short prompts without a session, and for vectors and ranks.

    `prompt_cache_key` and `user` may be the same for all that a program or a person asks, so they tell beginnings
    apart but do not stand for one.
    """
    if call.route.task != "generate":
        return None
    if call.session:
        return _digest([b"session", call.session])
    if not _text(call.body.get("prompt_cache_key")) and len(call.raw) < MIN_PREFIX_BYTES:
        return None
    return _beginning_key(call)


def conversation_key(call: Call) -> int | None:
    """
    64 bits that stay the same from a conversation's first request on, however short that is.

    None where nothing tells conversations apart: a bare prompt that is short is all that there is of its beginning.
    """
    return _beginning_key(call) if call.route.is_chat and not call.session else prefix_key(call)


def _beginning_key(call: Call) -> int:
    cache_key, user = (_text(call.body.get(name)) for name in ("prompt_cache_key", "user"))
    beginning = _of_messages(call.body["messages"]) if call.route.is_chat else _of_prompt(call.body["prompt"])
    return _digest([b"prefix", cache_key, user, *beginning])


def _digest(parts: Iterable[bytes]) -> int:
    hashed = hashlib.blake2b(digest_size=8)
    for part in parts:
        hashed.update(b"%d:" % len(part))  # so that no two lists of parts look the same
        hashed.update(part)
    return int.from_bytes(hashed.digest(), "little")


def _of_messages(messages: object) -> Iterator[bytes]:
    """Up to the first answer to a user."""
    has_user = False
    for message in messages[:_MAX_MESSAGES] if isinstance(messages, list) else ():
        role = message.get("role")
        if has_user and role in _ANSWERING_ROLES:
            return
        has_user = has_user or role == "user"
        yield _text(role)
        yield from _of_content(message.get("content"))


def _of_content(content: object) -> Iterator[bytes]:
    for part in content[:_MAX_MESSAGES] if isinstance(content, list) else (content,):
        if isinstance(part, str):
            yield _edges(part)
        elif isinstance(part, dict):
            image = part.get("image_url")
            text = part.get("text") or (image.get("url") if isinstance(image, dict) else None)
            yield _edges(text) if isinstance(text, str) else b""


def _of_prompt(prompt: object) -> Iterator[bytes]:
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], str | list):
        prompt = prompt[0]  # of several prompts
    if isinstance(prompt, str):
        yield prompt[:_PROMPT_CHARS].encode()
    elif isinstance(prompt, list):
        yield orjson.dumps(prompt[:_PROMPT_IDS])


def _edges(text: str) -> bytes:
    if len(text) <= 2 * _EDGE_CHARS:
        return text.encode()
    return b"%d:%s%s" % (len(text), text[:_EDGE_CHARS].encode(), text[-_EDGE_CHARS:].encode())


def _text(value: object) -> bytes:
    return value.encode() if isinstance(value, str) else b""
