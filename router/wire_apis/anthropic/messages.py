"""Anthropic's `system` and `messages` as the messages of a chat completion. Pure."""

import re
from collections.abc import Iterator, Sequence

from router.errors import InvalidRequest
from router.http.bodies import encode_object
from router.wire_apis.anthropic.blocks import UNSEEN, result_parts, tool_parts, user_parts
from router.wire_apis.anthropic.server_tools import ServerTools, is_found, is_use
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
    servers = ServerTools()
    for index, (message, where) in enumerate(listed):
        role = message.get("role")
        if role in ("user", "assistant"):
            said = _Said(message.get("content"), f"{where}.content", conversation, servers)
            if role == "user":
                _add_user(conversation, said)
            else:
                _add_assistant(conversation, said, keeps_reasoning=index > last_turn)
        elif role in _SYSTEM_ROLES and message.get("clear_at") == "next_user_message" and index < last_turn:
            continue
        elif role in _SYSTEM_ROLES:
            conversation.add_system(_system_text(message.get("content"), f"{where}.content"))
        elif isinstance(role, str) and role:
            _add_other(conversation, role, _Said(message.get("content"), f"{where}.content", conversation, servers))
        else:
            raise fault(f"{where}.role", "a string, as user, assistant or system")
    return conversation.whole()


def _system_text(content: object, where: str) -> str:
    if content is None:
        return ""
    texts = [content] if isinstance(content, str) else [
        string_at(part, "text", at) for part, at in objects_at(content, where) if part.get("type") not in UNSEEN
    ]  # fmt: skip
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


class _Said:
    """
    What one message says: a text or blocks, each with where it is.

    What is in it of tools that Anthropic's servers ran goes into the conversation at once, in the user's name: what the
    model made of it comes after. So does a summary that the API made of all before it, which then takes its place.
    """

    def __init__(self, content: object, where: str, conversation: Conversation, servers: ServerTools) -> None:
        blocks = list(_blocks(content, where))
        self.text = content if isinstance(content, str) else None
        self.blocks: list[tuple[Json, str]] = []
        for block, at in blocks:
            if is_use(block):
                servers.note_use(block)
            elif is_found(block):
                conversation.add_found(servers.found(block))
            elif block.get("type") != "compaction":
                self.blocks.append((block, at))
            elif isinstance(block.get("content"), str):  # null where the API failed to make one
                conversation.begin_anew(block["content"])
                self.blocks = []

    def of_kind(self, kind: str) -> list[tuple[Json, str]]:
        return [(block, at) for block, at in self.blocks if block.get("type") == kind]


def _add_user(conversation: Conversation, said: _Said) -> None:
    parts = [] if said.text is None else [text_part(said.text)]
    read = tool_parts if said.of_kind("tool_result") else user_parts
    for block, at in said.blocks:
        if block.get("type") == "tool_result":
            results = result_parts(block.get("content"), f"{at}.content")
            if block.get("is_error") is True:
                results = [text_part("Error:"), *results]
            conversation.add_result(string_at(block, "tool_use_id", at), results)
        else:
            parts += read(block, at)
    conversation.add_user(parts)


def _add_other(conversation: Conversation, role: str, said: _Said) -> None:
    parts = [] if said.text is None else [text_part(said.text)]
    conversation.add_other(role, [*parts, *(part for block, at in said.blocks for part in tool_parts(block, at))])


def _add_assistant(conversation: Conversation, said: _Said, *, keeps_reasoning: bool) -> None:
    """
    Args:
        conversation: to which it is added.
        said: by the model. Kinds of blocks that are not known are left out: nobody can take them back, and the
            conversation goes on.
        keeps_reasoning: whether the model still needs what it thought: within a turn that goes on.
    """
    parts = [] if said.text is None else [text_part(said.text)]
    parts += [text_part(string_at(block, "text", at)) for block, at in said.of_kind("text")]
    calls = [_tool_call(block, at) for block, at in said.of_kind("tool_use")]
    thoughts = [block.get("thinking") for block, _ in said.of_kind("thinking")]
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
