"""The `input` of a response as the messages of a chat completion. Pure."""

from collections.abc import Sequence

from router.errors import InvalidRequest
from router.wire_apis.conversation import Conversation, text_part
from router.wire_apis.fields import fault, objects_at
from router.wire_apis.pieces import Json
from router.wire_apis.responses.parts import model_parts, user_parts
from router.wire_apis.responses.tool_items import add_tool_item
from router.wire_apis.responses.tools import Tools

_SYSTEM = ("system", "developer")  # no set: clients send what has no hash


def chat_messages(instructions: str | None, given: object, tools: Tools) -> list[Json]:
    """
    What tools that OpenAI runs have found goes on in the user's name; items of kinds that are not known are left out.

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
        _add(conversation, item, where, thought, tools)
        thought = ""
    messages = conversation.whole()
    if not messages:
        raise fault("input", "a string or an array with at least one message")
    return messages


def _last_turn(items: Sequence[Json]) -> int:
    """Where the user spoke last."""
    return max((index for index, item in enumerate(items) if item.get("role") == "user"), default=-1)


def _add(conversation: Conversation, item: Json, where: str, thought: str, tools: Tools) -> None:
    kind = item.get("type") or ("message" if "role" in item else "item_reference")  # clients may leave it out
    if kind == "message" or item.get("role") == "user":
        _add_message(conversation, item, where, thought)
    elif kind == "item_reference":
        raise InvalidRequest(f"`{where}` refers to an item that is not kept here: send the item itself.", param=where)
    elif kind == "compaction":
        raise InvalidRequest(
            f"`{where}` is a conversation that only the server that made it can read: send the messages themselves.",
            param=where,
        )
    else:
        add_tool_item(conversation, item, where, thought, tools)


def _add_message(conversation: Conversation, item: Json, where: str, thought: str) -> None:
    role, content, at = item.get("role"), item.get("content"), f"{where}.content"
    if role == "assistant":
        conversation.add_assistant(model_parts(content, at), (), thought)
    elif role in _SYSTEM:
        conversation.add_system("\n".join(part["text"] for part in user_parts(content, at) if part["type"] == "text"))
    elif role == "user":
        conversation.add_user(user_parts(content, at))
    elif isinstance(role, str) and role:
        conversation.add_other(role, user_parts(content, at))
    else:
        raise fault(f"{where}.role", "a string, as user, assistant, system or developer")


def _reasoning(item: Json) -> str:
    """What was thought, where it is there to be read."""
    parts = item.get("content") or item.get("summary") or ()
    texts = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return "\n".join(text for text in texts if isinstance(text, str))
