"""Anthropic's tools, and how they may be used, as a chat completion's. Pure."""

from collections.abc import Iterator

from router.errors import InvalidRequest
from router.wire_apis.fields import fault, object_at, objects_at, string_at
from router.wire_apis.pieces import Json

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


_CHANGES = ("tool_addition", "tool_removal")  # no set: clients send what has no hash


def chat_tools(tools: object, messages: object = None) -> list[Json]:
    """
    The tools that have a schema. The others are Anthropic's own, by its servers (web search) or by a schema that only
    its models know (bash, text editor): they are left out, since no other model can use them.

    Args:
        tools: of the request, if there are any.
        messages: of the request, in which tools may come and go. What counts is how that ended: chat templates
            have one list of tools.

    Raises:
        InvalidRequest: a tool has no name, or a schema that is none.
    """
    declared = [] if tools is None else [_named(*one) for one in objects_at(tools, "tools")]
    known = {name: function for name, function in declared if function is not None}
    present = dict(known)
    for block, where in _changes(messages):
        name, function = _changed(object_at(block.get("tool"), f"{where}.tool"), f"{where}.tool")
        if function is not None:
            known[name] = function
        present.pop(name, None)
        if block["type"] == "tool_addition" and name in known:
            present[name] = known[name]
    return list(present.values())


def chat_tool_choice(choice: object, tools: list[Json]) -> Json:
    """
    Fields of a chat completion; none where there is no tool to choose.

    Raises:
        InvalidRequest: there is no such choice, or no such tool.
    """
    if choice is None:
        return {}
    wanted = object_at(choice, "tool_choice")
    kind = wanted.get("type")
    if kind not in (*_CHOICES, "tool"):
        raise fault("tool_choice.type", "auto, any, tool or none")
    names = [tool["function"]["name"] for tool in tools]
    if kind == "tool" and string_at(wanted, "name", "tool_choice") not in names:
        raise InvalidRequest(
            f"`tool_choice.name` is {wanted['name']!r}, which is none of the tools that this model can use.",
            param="tool_choice.name",
        )
    if not tools:
        return {}
    fields: Json = {"tool_choice": _CHOICES.get(kind, {"type": "function", "function": {"name": wanted.get("name")}})}
    if wanted.get("disable_parallel_tool_use") is True:
        fields["parallel_tool_calls"] = False
    return fields


def _changes(messages: object) -> Iterator[tuple[Json, str]]:
    """Blocks by which tools come and go. What is no message is refused where messages are read."""
    for index, message in enumerate(messages if isinstance(messages, list) else ()):
        content = message.get("content") if isinstance(message, dict) else None
        for at, block in enumerate(content if isinstance(content, list) else ()):
            if isinstance(block, dict) and block.get("type") in _CHANGES:
                yield block, f"messages[{index}].content[{at}]"


def _changed(tool: Json, where: str) -> tuple[str, Json | None]:
    """The name of a tool that comes or goes, and the function, where it comes with what it is; no name of MCP's."""
    if tool.get("type") == "tool_definition":
        return _named(object_at(tool.get("definition"), f"{where}.definition"), f"{where}.definition")
    return string_at(tool, "name", where) if tool.get("type") == "tool_reference" else "", None


def _named(tool: Json, where: str) -> tuple[str, Json | None]:
    """A tool by its name; no function where it is Anthropic's own."""
    return str(tool.get("name")), None if _is_anthropics(tool) else _function(tool, where)


def _is_anthropics(tool: Json) -> bool:
    return tool.get("type") not in (None, "custom") and tool.get("input_schema") is None


def _function(tool: Json, where: str) -> Json:
    function: Json = {"name": string_at(tool, "name", where)}
    if tool.get("description") is not None:
        function["description"] = string_at(tool, "description", where)
    function["parameters"] = object_at(tool.get("input_schema"), f"{where}.input_schema")
    if isinstance(tool.get("strict"), bool):
        function["strict"] = tool["strict"]
    return {"type": "function", "function": function}
