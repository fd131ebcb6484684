"""The `input` of a response as the messages of a chat completion. Pure."""

from collections.abc import Sequence

import orjson

from router.errors import InvalidRequest
from router.wire_apis.conversation import Conversation, image_part, text_part, tool_call
from router.wire_apis.fields import fault, objects_at, string_at
from router.wire_apis.pieces import Json

# No sets: clients send what has no hash.
_TEXTS = ("input_text", "output_text", "text", "summary_text", "reasoning_text")
_SYSTEM = ("system", "developer")


def chat_messages(instructions: str | None, given: object) -> list[Json]:
    """
    Items of tools that OpenAI runs, and of kinds that are not known, are left out.

    Raises:
        InvalidRequest: something in them cannot be passed on, and where that is.
    """
    conversation = Conversation()
    conversation.add_system(instructions or "")
    if given is None:
        raise InvalidRequest("`input` is missing.", param="input")
    if isinstance(given, str):
        conversation.add_user([text_part(given)])
        return conversation.whole()
    if not isinstance(given, list):
        raise fault("input", "a string or an array of items")
    items = list(objects_at(given, "input"))
    last_turn = _last_turn([item for item, _ in items])
    thought = ""
    for index, (item, where) in enumerate(items):
        if item.get("type") == "reasoning":
            thought = _reasoning(item) if index > last_turn else ""
            continue
        _add(conversation, item, where, thought)
        thought = ""
    messages = conversation.whole()
    if not messages:
        raise fault("input", "a string or an array with at least one message")
    return messages


def _last_turn(items: Sequence[Json]) -> int:
    """Where the user spoke last."""
    return max((index for index, item in enumerate(items) if item.get("role") == "user"), default=-1)


def _add(conversation: Conversation, item: Json, where: str, thought: str) -> None:
    kind = item.get("type", "message")
    if kind == "message":
        _add_message(conversation, item, where, thought)
    elif kind in ("function_call", "custom_tool_call"):
        said = "arguments" if kind == "function_call" else "input"
        arguments = string_at(item, said, where)
        if kind == "custom_tool_call":
            arguments = orjson.dumps({"input": arguments}).decode()
        call = tool_call(string_at(item, "call_id", where), string_at(item, "name", where), arguments)
        conversation.add_assistant((), [call], thought)
    elif kind in ("function_call_output", "custom_tool_call_output"):
        parts = _parts(item.get("output"), f"{where}.output")
        conversation.add_result(string_at(item, "call_id", where), parts)
    elif kind == "item_reference":
        raise InvalidRequest(f"`{where}` refers to an item that is not kept here.", param=where)


def _add_message(conversation: Conversation, item: Json, where: str, thought: str) -> None:
    role, parts = item.get("role"), _parts(item.get("content"), f"{where}.content")
    if role == "assistant":
        conversation.add_assistant([part for part in parts if part["type"] == "text"], (), thought)
    elif role in _SYSTEM:
        conversation.add_system("\n".join(part["text"] for part in parts if part["type"] == "text"))
    elif role == "user":
        conversation.add_user(parts)
    else:
        raise fault(f"{where}.role", "user, assistant, system or developer")


def _parts(content: object, where: str) -> list[Json]:
    if isinstance(content, str):
        return [text_part(content)]
    if not isinstance(content, list):
        raise fault(where, "a string or an array of parts")
    return [_part(part, at) for part, at in objects_at(content, where)]


def _part(part: Json, where: str) -> Json:
    kind = part.get("type")
    if kind in _TEXTS:
        return text_part(string_at(part, "text", where))
    if kind == "refusal":
        return text_part(string_at(part, "refusal", where))
    if kind == "input_image" and part.get("image_url") is not None:
        return image_part(string_at(part, "image_url", where))
    raise InvalidRequest(f"`{where}.type` is {kind!r}, which cannot be passed on to this model.", param=f"{where}.type")


def _reasoning(item: Json) -> str:
    """What was thought, where it is there to be read."""
    parts = item.get("content") or item.get("summary") or ()
    texts = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return "\n".join(text for text in texts if isinstance(text, str))
