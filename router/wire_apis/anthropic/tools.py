"""Anthropic's tools, and how they may be used, as a chat completion's. Pure."""

from router.errors import InvalidRequest
from router.wire_apis.fields import fault, object_at, objects_at, string_at
from router.wire_apis.pieces import Json

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def chat_tools(tools: object) -> list[Json]:
    """
    The tools that have a schema. The others are Anthropic's own, by its servers (web search) or by a schema that only
    its models know (bash, text editor): they are left out, since no other model can use them.

    Raises:
        InvalidRequest: a tool has no name, or a schema that is none.
    """
    if tools is None:
        return []
    return [_function(tool, where) for tool, where in objects_at(tools, "tools") if not _is_anthropics(tool)]


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
