"""Messages of roles that no chat template has, as what the user says. Pure."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeAlias

from router.validation import ROLES

Message: TypeAlias = dict[str, Any]

ANSWERING_ROLES = frozenset({"tool", "function"})
"""Each message of these answers a call of its own, and nothing may come between the two."""


def with_known_roles(messages: Sequence[Message]) -> Sequence[Message]:
    """The same ones where all roles are known. Clients are newer than engines, and would be refused for one message."""
    unknown = {message["role"] for message in messages} - ROLES
    return list(said_by_user(messages, unknown)) if unknown else messages


def said_by_user(messages: Iterable[Message], roles: Collection[str]) -> Iterable[Message]:
    """What these roles say is the user's, and never between calls and their results."""
    owed: list[Message] = []
    for message in messages:
        if message["role"] in roles:
            owed.append(_as_user(message))
            continue
        if message["role"] not in ANSWERING_ROLES:
            yield from owed
            owed = []
        yield message
    yield from owed


def _as_user(message: Message) -> Message:
    """With a mark by which a model can tell it from what the user says."""
    content, begin, end = message.get("content"), f"<{message['role']}>", f"</{message['role']}>"
    if isinstance(content, str):
        return {"role": "user", "content": f"{begin}\n{content}\n{end}"}
    parts = content if isinstance(content, list) else []
    return {"role": "user", "content": [{"type": "text", "text": begin}, *parts, {"type": "text", "text": end}]}
