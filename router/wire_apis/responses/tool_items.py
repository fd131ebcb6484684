"""What a Responses conversation says of tools: calls with their results, and what was found. Pure."""

from collections.abc import Callable, Mapping

from router.http.bodies import encode_object
from router.wire_apis.conversation import Conversation, text_part, tool_call
from router.wire_apis.fields import string_at
from router.wire_apis.pieces import Json
from router.wire_apis.readable import readable
from router.wire_apis.responses.parts import tool_parts
from router.wire_apis.responses.tools import Tools


def add_tool_item(conversation: Conversation, item: Json, where: str, thought: str, tools: Tools) -> None:
    """
    An item of any kind but a message. Kinds that are not known are left out, and so are those that say nothing to a
    model: approvals, images that a tool drew. Tools that it may call stand in `tools`.

    Args:
        conversation: to which it is added.
        item: of the request's `input`.
        where: it is in the request.
        thought: what the model thought before it.
        tools: of the request, by whose names the model knows those that it called.

    Raises:
        InvalidRequest: a field is missing or cannot be passed on.
    """
    kind = item.get("type")
    read_arguments = _CALLS.get(kind) if isinstance(kind, str) else None
    if read_arguments is not None:
        arguments = read_arguments(item, where)
        call_id = string_at(item, "call_id", where)
        name = str(kind).removesuffix("_call")
        if kind in _NAMED:
            name = tools.function_name(string_at(item, "name", where), item.get("namespace"))
        call = tool_call(call_id, name, arguments)
        conversation.add_assistant((), [call], thought)
    elif kind in _OUTPUTS:
        _add_output(conversation, item, where)
    elif kind in _RUN_BY_SERVERS:
        conversation.add_found(_found(item))


def _function_arguments(item: Json, where: str) -> str:
    return string_at(item, "arguments", where)


def _custom_arguments(item: Json, where: str) -> str:
    return encode_object({"input": string_at(item, "input", where)}).decode()


def _action_arguments(item: Json, where: str) -> str:  # noqa: ARG001 - every kind's signature
    """What was to be done, under whichever name such an item has it."""
    return encode_object({name: item[name] for name in ("action", "actions", "operation") if name in item}).decode()


_CALLS: Mapping[str, Callable[[Json, str], str]] = {
    "function_call": _function_arguments,
    "custom_tool_call": _custom_arguments,
    "computer_call": _action_arguments,
    "local_shell_call": _action_arguments,
    "shell_call": _action_arguments,
    "apply_patch_call": _action_arguments,
}
"""Calls of tools that the client runs, and what their arguments are."""
_NAMED = ("function_call", "custom_tool_call")
_OUTPUTS = tuple(f"{kind}_output" for kind in _CALLS)
_RUN_BY_SERVERS = ("file_search_call", "code_interpreter_call", "mcp_call")
_FOUND = ("results", "outputs", "output", "error")
"""Where the items of tools that OpenAI runs have what was found."""


def _add_output(conversation: Conversation, item: Json, where: str) -> None:
    output, kind = item.get("output"), item["type"]
    if kind == "computer_call_output":
        parts = tool_parts([output], f"{where}.output")
    elif kind == "shell_call_output" or (kind == "apply_patch_call_output" and output is None):
        parts = [text_part(readable(output) or str(item.get("status", "")))]
    else:
        parts = tool_parts(output, f"{where}.output")
    if kind == "local_shell_call_output" and item.get("call_id") is None:
        conversation.add_result(string_at(item, "id", where), parts)  # OpenAI's name for it there
    elif item.get("call_id") is None and isinstance(item.get("name"), str):
        conversation.add_user([text_part(f"From {item['name']}:"), *parts])  # of a call that is not in the input
    else:
        conversation.add_result(string_at(item, "call_id", where), parts)


def _found(item: Json) -> str:
    """What it found, after what it was asked for. Empty where nothing of it is there."""
    words = readable([item.get(name) for name in _FOUND])
    if not words:
        return ""
    name = item.get("name") if isinstance(item.get("name"), str) else item["type"].removesuffix("_call")
    asked = readable([item.get(field) for field in ("queries", "code", "arguments")])
    return "\n".join(filter(None, [f"From {name}:", asked, words]))
