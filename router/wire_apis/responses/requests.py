"""A request for a response as one for a chat completion. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from router.errors import PreviousResponseNotFound, UnsupportedParameter
from router.http.bodies import parse_object
from router.validation import requested_model
from router.wire_apis.fields import fault, object_at, optional_object, string_at
from router.wire_apis.pieces import Json
from router.wire_apis.responses.messages import chat_messages
from router.wire_apis.responses.tools import ToolName, chat_tool_choice, read_tools

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
    """What of a request stands in its answer again. `tools` are what the client calls its functions, by their names."""

    model: str
    echo: Json
    tools: Mapping[str, ToolName] = field(default_factory=dict)


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
    tools = read_tools(document.get("tools"), document.get("input"))
    body: Json = {"model": model, "messages": chat_messages(instructions, document.get("input"), tools)}
    body |= {name: document[name] for name in _SAME if document.get(name) is not None}
    body |= chat_tool_choice(document.get("tool_choice"), tools) | _limit(document) | _response_format(document)
    effort = optional_object(document, "reasoning").get("effort")
    if isinstance(effort, str) and effort in _EFFORTS:
        body["reasoning_effort"] = _EFFORTS[effort]
    echo = {name: document[name] for name in _ECHOED if document.get(name) is not None}
    return body, Asked(model, echo, tools.origins)


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
