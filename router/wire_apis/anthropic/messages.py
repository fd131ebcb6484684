"""Anthropic's `system` and `messages` as the messages of a chat completion. Pure."""

import re
from collections.abc import Iterator, Sequence

import orjson

from router.errors import InvalidRequest
from router.wire_apis.anthropic.blocks import content_of, result_parts, text_part, user_part
from router.wire_apis.fields import fault, object_at, objects_at, string_at
from router.wire_apis.pieces import Json

_SYSTEM_ROLES = frozenset({"system", "developer", "ctx", "msg"})
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
    conversation = _Conversation()
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
            conversation.add_user(message.get("content"), f"{where}.content")
        elif role == "assistant":
            conversation.add_assistant(message.get("content"), f"{where}.content", keeps_reasoning=index > last_turn)
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


class _Conversation:
    def __init__(self) -> None:
        self._system: list[str] = []
        self._messages: list[Json] = []
        """With `content` as a list of parts."""
        self._notes: list[Json] = []
        """What the system said since the last message. It must not come between calls and their results."""

    def add_system(self, text: str) -> None:
        """At the head it is the system prompt. Later the user says it: many templates have it nowhere else."""
        if text and self._messages:
            self._notes.append(text_part(f"<system>\n{text}\n</system>"))
        elif text:
            self._system.append(text)

    def add_user(self, content: object, where: str) -> None:
        """Results of tools come first: they must follow the calls."""
        parts = [text_part(content)] if isinstance(content, str) else []
        for block, at in _blocks(content, where):
            if block.get("type") == "tool_result":
                parts += self._add_result(block, at)
            else:
                parts.append(user_part(block, at))
        self._add_parts(parts)

    def add_assistant(self, content: object, where: str, *, keeps_reasoning: bool) -> None:
        """
        Args:
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
        if not (parts or calls):
            return
        self._add_parts([])
        if not (self._messages and self._messages[-1]["role"] == "assistant"):
            self._messages.append({"role": "assistant", "content": []})
        message = self._messages[-1]
        message["content"] += [part for part in parts if part["text"]]
        if calls:
            message["tool_calls"] = [*message.get("tool_calls", []), *calls]
        if reasoning and keeps_reasoning:
            message["reasoning_content"] = "\n".join(filter(None, [message.get("reasoning_content"), reasoning]))

    def whole(self) -> list[Json]:
        self._add_parts([])
        head = [{"role": "system", "content": "\n".join(self._system)}] if self._system else []
        return [*head, *({**message, "content": content_of(message["content"])} for message in self._messages)]

    def _add_parts(self, spoken: list[Json]) -> None:
        parts, self._notes = [*self._notes, *spoken], []
        if not parts:
            return
        if self._messages and self._messages[-1]["role"] == "user":
            self._messages[-1]["content"] += parts
        else:
            self._messages.append({"role": "user", "content": parts})

    def _add_result(self, block: Json, where: str) -> list[Json]:
        """The result of one call as a message of its own; the images in it, which such a message cannot hold."""
        call_id = string_at(block, "tool_use_id", where)
        parts = result_parts(block.get("content"), f"{where}.content")
        texts = [part for part in parts if part["type"] == "text"]
        if block.get("is_error") is True:
            texts = [text_part("Error:"), *texts]
        self._messages.append({"role": "tool", "tool_call_id": call_id, "content": texts})
        images = [part for part in parts if part["type"] != "text"]
        return [text_part(f"From the tool call {call_id}:"), *images] if images else []


def _blocks(content: object, where: str) -> Iterator[tuple[Json, str]]:
    """None in a string."""
    if isinstance(content, str):
        return iter(())
    if not isinstance(content, list):
        raise fault(where, "a string or an array of blocks")
    return objects_at(content, where)


def _tool_call(block: Json, where: str) -> Json:
    arguments = orjson.dumps(object_at(block.get("input", {}), f"{where}.input")).decode()
    function = {"name": string_at(block, "name", where), "arguments": arguments}
    return {"id": string_at(block, "id", where), "type": "function", "function": function}
