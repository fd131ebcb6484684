"""
A tool call that the client demands: `tool_choice` is `required`, or names a function.

`trtllm-serve` refuses the first and does not hold the model to the second. A JSON schema does: the answer is made to
be `{"name": ..., "arguments": {...}}`, and becomes the call that was asked for. One call, in one event of a stream.
"""

import secrets
from typing import Any

import orjson

from deployments.engines.front.dialect import JsonObject, RequestRefused


def is_forced(request: JsonObject) -> bool:
    choice = request.get("tool_choice")
    return choice == "required" or isinstance(choice, dict)


class ForcedCall:
    """
    Raises:
        RequestRefused: there are no tools, or none of the name that is demanded.
    """

    def __init__(self, request: JsonObject) -> None:
        tools = [tool for tool in request.get("tools") or [] if isinstance(tool, dict)]
        wanted = _wanted_name(request["tool_choice"])
        functions: list[dict[str, Any]] = [tool.get("function") or {} for tool in tools]
        allowed = [each for each in functions if wanted is None or each.get("name") == wanted]
        if not allowed:
            what = "there are no tools" if wanted is None else f"there is no tool of the name {wanted!r}"
            raise RequestRefused(f"tool_choice demands a tool call, but {what}.", param="tool_choice")
        schemas = [_call_schema(each) for each in allowed]
        self.request = {
            **request,
            "tool_choice": "auto",
            "response_format": {"type": "json", "schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}},
        }
        self._texts: dict[int, str] = {}

    def put_call(self, choice: JsonObject) -> None:
        """Turns the text of a whole answer's choice into the call, in place."""
        message = choice.get("message") or {}
        if message.get("tool_calls"):
            return
        call = _read_call(message.get("content") or "")
        if call is not None:
            message["content"] = None
            message["tool_calls"] = [call]

    def feed(self, choice: JsonObject) -> None:
        """Keeps a stream's text back and, with its end, puts the call in its place."""
        index, delta = choice.get("index", 0), choice["delta"]
        text = self._texts[index] = self._texts.get(index, "") + (delta.pop("content", None) or "")
        if choice.get("finish_reason") is None:
            return
        call = _read_call(text)
        if call is None:  # cut off by max_tokens: the client sees what there is
            delta["content"] = text
        else:
            delta["tool_calls"] = [{"index": 0, **call}]


def _wanted_name(choice: Any) -> str | None:  # noqa: ANN401  a JSON value
    if choice == "required":
        return None
    function = choice.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise RequestRefused("tool_choice must name a function: {type, function: {name}}.", param="tool_choice")
    return name


def _call_schema(function: dict[str, Any]) -> JsonObject:
    return {
        "type": "object",
        "properties": {
            "name": {"type": "string", "enum": [function.get("name")]},
            "arguments": function.get("parameters") or {"type": "object"},
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _read_call(text: str) -> JsonObject | None:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict) or not isinstance(document.get("name"), str):
        return None
    arguments = orjson.dumps(document.get("arguments") or {}).decode()
    return {
        "id": f"call_{secrets.token_hex(12)}",
        "type": "function",
        "function": {"name": document["name"], "arguments": arguments},
    }
