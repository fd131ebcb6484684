"""Anthropic's `system` and `messages` as the messages of a chat completion. Pure."""

import re
from collections.abc import Iterator, Sequence

from router.errors import InvalidRequest
from router.http.bodies import encode_object
from router.wire_apis.anthropic.blocks import result_parts, user_part
from router.wire_apis.conversation import Conversation, text_part, tool_call
from router.wire_apis.fields import fault, object_at, objects_at, string_at
from router.wire_apis.pieces import Json

_SYSTEM_ROLES = ("system", "developer", "ctx", "msg")  # no set: clients send what has no hash
"""Roles by which clients say something that is neither the user's nor the model's. Claude Code sends `system`."""
_BILLING = re.compile(r"^x-anthropic-billing-header:[^\n]*\n?", re.MULTILINE)
"""A line that Claude Code puts at the head of its system prompt: no part of the prompt, and another one each time, so
that no engine could reuse what it has read. Source: sgl-project/sglang#29169, waybarrios/vllm-mlx#277."""


def chat_messages(system: object, messages: object) -> list[Json]:
    """
    Neighbours with the same role are one message, as they are to Anthropic: many chat templates demand it.

    Raises:
        InvalidRequest: something in them cannot be passed on, and where that is.
    """
    conversation = Conversation()
    conversation.add_system(_system_text(system, "system"))
    if messages is None:
        raise InvalidRequest("`messages` is missing.", param="messages")
    listed = list(objects_at(messages, "messages"))
    if not listed:
        raise fault("messages", "an array with at least one message")
    last_turn = _last_turn([message for message, _ in listed])
    for index, (message, where) in enumerate(listed):
        role = message.get("role")
        if role == "user":
            _add_user(conversation, message.get("content"), f"{where}.content")
        elif role == "assistant":
            _add_assistant(conversation, message.get("content"), f"{where}.content", keeps_reasoning=index > last_turn)
        elif role in _SYSTEM_ROLES:
            conversation.add_system(_system_text(message.get("content"), f"{where}.content"))
        else:
            raise fault(f"{where}.role", "user, assistant or system")
    return conversation.whole()


def _system_text(content: object, where: str) -> str:
    if content is None:
        return ""
    texts = (
        [content]
        if isinstance(content, str)
        else [string_at(part, "text", at) for part, at in objects_at(content, where)]
    )
    cleaned = (_BILLING.sub("", text) for text in texts)
    return "\n".join(text for text in cleaned if text)


def _last_turn(messages: Sequence[Json]) -> int:
    """Where the user spoke last; what came after are the model's steps, with the results of its tools."""
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].get("role") == "user" and not _has_results(messages[index].get("content")):
            return index
    return -1


def _has_results(content: object) -> bool:
    return isinstance(content, list) and any(
        isinstance(block, dict) and block.get("type") == "tool_result" for block in content
    )


def _add_user(conversation: Conversation, content: object, where: str) -> None:
    parts = [text_part(content)] if isinstance(content, str) else []
    for block, at in _blocks(content, where):
        if block.get("type") == "tool_result":
            results = result_parts(block.get("content"), f"{at}.content")
            if block.get("is_error") is True:
                results = [text_part("Error:"), *results]
            conversation.add_result(string_at(block, "tool_use_id", at), results)
        else:
            parts.append(user_part(block, at))
    conversation.add_user(parts)


def _add_assistant(conversation: Conversation, content: object, where: str, *, keeps_reasoning: bool) -> None:
    """
    Args:
        conversation: to which it is added.
        content: a string or blocks. Those of tools that Anthropic's servers run are left out.
        where: it is in the request.
        keeps_reasoning: whether the model still needs what it thought: within a turn that goes on.
    """
    texts = [text_part(content)] if isinstance(content, str) else []
    blocks = list(_blocks(content, where))
    parts = texts + [text_part(string_at(block, "text", at)) for block, at in blocks if block.get("type") == "text"]
    calls = [_tool_call(block, at) for block, at in blocks if block.get("type") == "tool_use"]
    thoughts = [block.get("thinking") for block, _ in blocks if block.get("type") == "thinking"]
    reasoning = "\n".join(thought for thought in thoughts if isinstance(thought, str) and thought)
    conversation.add_assistant(parts, calls, reasoning if keeps_reasoning else "")


def _blocks(content: object, where: str) -> Iterator[tuple[Json, str]]:
    """None in a string."""
    if isinstance(content, str):
        return iter(())
    if not isinstance(content, list):
        raise fault(where, "a string or an array of blocks")
    return objects_at(content, where)


def _tool_call(block: Json, where: str) -> Json:
    arguments = encode_object(object_at(block.get("input", {}), f"{where}.input")).decode()
    return tool_call(string_at(block, "id", where), string_at(block, "name", where), arguments)
