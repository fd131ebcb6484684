"""A request for a response as one for a chat completion. Pure."""

from dataclasses import dataclass

from router.errors import InvalidRequest, PreviousResponseNotFound, UnsupportedParameter
from router.http.bodies import parse_object
from router.validation import requested_model
from router.wire_apis.fields import fault, object_at, objects_at, optional_object, string_at
from router.wire_apis.pieces import Json
from router.wire_apis.responses.messages import chat_messages

_SAME = ("stream", "temperature", "top_p", "parallel_tool_calls", "user", "prompt_cache_key")
"""Fields that mean the same in both."""
_ECHOED = (
    "instructions", "max_output_tokens", "metadata", "model", "parallel_tool_calls", "reasoning", "temperature", "text",
    "tool_choice", "tools", "top_p", "truncation", "user", "prompt_cache_key",
)  # fmt: skip
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}
_KEPT_ELSEWHERE = ("background", "conversation", "prompt")
"""Fields that need something to be kept between requests, and nothing is."""


@dataclass(slots=True, frozen=True)
class Asked:
    """What of a request stands in its answer again."""

    model: str
    echo: Json


def read_request(raw: bytes) -> tuple[Json, Asked]:
    """
    A chat completion's body, and what to know for its answer.

    Fields that are not known, and tools that no engine has, are passed over.

    Raises:
        PreviousResponseNotFound: it goes on from another response. Clients then send everything.
        InvalidRequest: a field that is needed is missing or wrong; `param` names it.
    """
    document = parse_object(raw)
    model = requested_model(document)
    if document.get("previous_response_id") is not None:
        raise PreviousResponseNotFound(
            "Responses are not kept here: send the whole conversation as `input`.", param="previous_response_id"
        )
    for name in _KEPT_ELSEWHERE:
        if document.get(name):
            raise UnsupportedParameter(f"`{name}` needs what is not kept here.", param=name)
    instructions = None if document.get("instructions") is None else string_at(document, "instructions", "")
    body: Json = {"model": model, "messages": chat_messages(instructions, document.get("input"))}
    body |= {name: document[name] for name in _SAME if document.get(name) is not None}
    tools = _tools(document.get("tools"))
    if tools:
        body |= {"tools": tools, **_tool_choice(document.get("tool_choice"), tools)}
    body |= _limit(document) | _response_format(document)
    effort = optional_object(document, "reasoning").get("effort")
    if isinstance(effort, str) and effort in _EFFORTS:
        body["reasoning_effort"] = _EFFORTS[effort]
    return body, Asked(model, {name: document[name] for name in _ECHOED if document.get(name) is not None})


def _tools(tools: object) -> list[Json]:
    """Functions only. No engine searches the web, runs code, or has a grammar for a custom tool."""
    if tools is None:
        return []
    return [_function(tool, where) for tool, where in objects_at(tools, "tools") if tool.get("type") == "function"]


def _function(tool: Json, where: str) -> Json:
    function: Json = {"name": string_at(tool, "name", where)}
    function |= {name: tool[name] for name in ("description", "strict") if tool.get(name) is not None}
    if tool.get("parameters") is not None:
        function["parameters"] = object_at(tool["parameters"], f"{where}.parameters")
    return {"type": "function", "function": function}


def _tool_choice(choice: object, tools: list[Json]) -> Json:
    """As a chat completion has it; of kinds of tools that were left out there is nothing to choose."""
    if choice is None:
        return {}
    if isinstance(choice, str):
        if choice not in ("auto", "none", "required"):
            raise fault("tool_choice", "auto, none, required or an object")
        return {"tool_choice": choice}
    wanted = object_at(choice, "tool_choice")
    if wanted.get("type") == "allowed_tools":
        return {"tool_choice": "required" if wanted.get("mode") == "required" else "auto"}
    if wanted.get("type") != "function":
        return {}
    name = string_at(wanted, "name", "tool_choice")
    if name not in [tool["function"]["name"] for tool in tools]:
        raise InvalidRequest(f"`tool_choice.name` is {name!r}, which is no function here.", param="tool_choice.name")
    return {"tool_choice": {"type": "function", "function": {"name": name}}}


def _limit(document: Json) -> Json:
    limit = document.get("max_output_tokens")
    if limit is None:
        return {}
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise fault("max_output_tokens", "an integer of 1 or more")
    return {"max_tokens": limit}


def _response_format(document: Json) -> Json:
    wanted = optional_object(document, "text").get("format")
    if wanted is None:
        return {}
    kind = object_at(wanted, "text.format").get("type")
    if kind == "text":
        return {}
    if kind == "json_object":
        return {"response_format": {"type": kind}}
    if kind != "json_schema":
        raise fault("text.format.type", "text, json_object or json_schema")
    fields = {name: wanted[name] for name in ("name", "description", "strict") if wanted.get(name) is not None}
    schema = object_at(wanted.get("schema"), "text.format.schema")
    return {"response_format": {"type": kind, "json_schema": {"name": "answer", **fields, "schema": schema}}}
