"""The tools of a response as a chat completion's functions, and back again. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import orjson

from router.errors import InvalidRequest
from router.wire_apis.fields import fault, object_at, objects_at, string_at
from router.wire_apis.pieces import Json

_BRINGS_TOOLS = ("additional_tools", "tool_search_output")  # no set: clients send what has no hash
"""Items of a conversation that bring tools. Codex has all of its tools in one for some models."""
_INPUT: Json = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The whole input of the tool, as it is."}},
    "required": ["input"],
    "additionalProperties": False,
}
"""What a custom tool takes: a text of any form."""


@dataclass(slots=True, frozen=True)
class ToolName:
    """What a client calls a tool. `namespace` is the group that it stands in: a server of MCP, as Codex has it."""

    name: str
    namespace: str | None = None
    is_custom: bool = False


@dataclass(slots=True, frozen=True)
class Tools:
    """
    The functions that stand for a request's tools.

    `origins` has what the client calls each of them, by the function's name; `names` has that, by the tool's name and
    group.
    """

    functions: tuple[Json, ...]
    origins: Mapping[str, ToolName]
    names: Mapping[tuple[str, str | None], str]

    def function_name(self, name: str, namespace: object) -> str:
        """Of a tool that a client names, which need not be among those of the request."""
        group = namespace if isinstance(namespace, str) and namespace else None
        return self.names.get((name, group)) or _joined(name, group)


def read_tools(tools: object, given: object) -> Tools:
    """
    The tools that a client runs: functions, custom tools and groups of them. No engine searches the web or runs code.

    Args:
        tools: of the request, if there are any.
        given: its `input`, whose items may bring more.

    Raises:
        InvalidRequest: a tool has no name, or parameters that are none.
    """
    found: dict[ToolName, Json] = {}
    for tool, where in _all_tools(tools, given):
        found |= _read(tool, where, None)
    functions: dict[str, Json] = {}
    origins: dict[str, ToolName] = {}
    for origin, function in found.items():
        name = _joined(origin.name, origin.namespace)
        while name in functions:  # of a group and of a tool that are called alike
            name += "_"
        functions[name] = {"type": "function", "function": {"name": name, **function}}
        origins[name] = origin
    names = {(origin.name, origin.namespace): name for name, origin in reversed(origins.items())}
    return Tools(tuple(functions.values()), origins, names)


def chat_tool_choice(choice: object, tools: Tools) -> Json:
    """
    Fields of a chat completion; of kinds of tools that were left out there is nothing to choose.

    Raises:
        InvalidRequest: there is no such choice, or no such tool.
    """
    listed = list(tools.functions)
    if not listed:
        return {}
    if choice is None:
        return {"tools": listed}
    if isinstance(choice, str):
        if choice not in ("auto", "none", "required"):
            raise fault("tool_choice", "auto, none, required or an object")
        return {"tools": listed, "tool_choice": choice}
    wanted = object_at(choice, "tool_choice")
    kind = wanted.get("type")
    if kind == "allowed_tools":
        return _allowed(wanted, tools)
    if kind not in ("function", "custom"):
        return {"tools": listed}
    name = tools.function_name(string_at(wanted, "name", "tool_choice"), wanted.get("namespace"))
    if name not in tools.origins:
        raise InvalidRequest(
            f"`tool_choice.name` is {wanted['name']!r}, which is no function here.", param="tool_choice.name"
        )
    return {"tools": listed, "tool_choice": {"type": "function", "function": {"name": name}}}


def custom_input(arguments: str) -> str:
    """The text that a model gave to a custom tool: all that it wrote, where it did not write what it was to."""
    try:
        document = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
    said = document.get("input") if isinstance(document, dict) else None
    return said if isinstance(said, str) else arguments


def _all_tools(tools: object, given: object) -> Iterator[tuple[Json, str]]:
    if tools is not None:
        yield from objects_at(tools, "tools")
    for index, item in enumerate(given if isinstance(given, list) else ()):
        if isinstance(item, dict) and item.get("type") in _BRINGS_TOOLS and item.get("tools") is not None:
            yield from objects_at(item["tools"], f"input[{index}].tools")


def _read(tool: Json, where: str, namespace: str | None) -> dict[ToolName, Json]:
    """Without their names, which must be different from each other."""
    kind = tool.get("type")
    if kind == "namespace" and namespace is None:
        group = string_at(tool, "name", where)
        found: dict[ToolName, Json] = {}
        for inner, at in objects_at(tool.get("tools") or [], f"{where}.tools"):
            found |= _read(inner, at, group)
        return found
    if kind not in ("function", "custom"):
        return {}
    name = ToolName(string_at(tool, "name", where), namespace, kind == "custom")
    return {name: _custom(tool) if name.is_custom else _function(tool, where)}


def _function(tool: Json, where: str) -> Json:
    function = {name: tool[name] for name in ("description", "strict") if tool.get(name) is not None}
    if tool.get("parameters") is not None:
        function["parameters"] = object_at(tool["parameters"], f"{where}.parameters")
    return function


def _custom(tool: Json) -> Json:
    """With its grammar in words: engines are not held to it."""
    wanted = tool.get("format")
    grammar = wanted.get("definition") if isinstance(wanted, dict) else None
    texts = [tool.get("description"), f"The grammar of `input`:\n{grammar}" if grammar else None]
    said = "\n".join(text for text in texts if isinstance(text, str) and text)
    return {**({"description": said} if said else {}), "parameters": _INPUT}


def _allowed(wanted: Json, tools: Tools) -> Json:
    """Those alone that may be called; all, where the list has none that is known."""
    names = [
        tools.function_name(one["name"], one.get("namespace"))
        for one, _ in objects_at(wanted.get("tools") or [], "tool_choice.tools")
        if isinstance(one.get("name"), str)
    ]
    allowed = [one for one in tools.functions if one["function"]["name"] in names]
    mode = "required" if wanted.get("mode") == "required" else "auto"
    return {"tools": allowed or list(tools.functions), "tool_choice": mode}


def _joined(name: str, namespace: str | None) -> str:
    """As models that were made to call the tools of MCP's servers know them."""
    return name if namespace is None else f"{namespace}__{name}"
