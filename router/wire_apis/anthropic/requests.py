"""A request for a message as one for a chat completion. Pure."""

from dataclasses import dataclass

from router.errors import InvalidRequest
from router.http.bodies import parse_object
from router.validation import requested_model
from router.wire_apis.anthropic.messages import chat_messages
from router.wire_apis.anthropic.tools import chat_tool_choice, chat_tools
from router.wire_apis.fields import fault, object_at, optional_object
from router.wire_apis.pieces import Json

_SAME = ("stream", "temperature", "top_p", "top_k", "max_tokens")
"""Fields that mean the same in both."""


@dataclass(slots=True, frozen=True)
class Asked:
    """What of a request its answer depends on, beside what the model says."""

    model: str
    stop_sequences: frozenset[str]
    shows_thinking: bool


def read_request(raw: bytes) -> tuple[Json, Asked, bytes]:
    """
    A chat completion's body, what to know for its answer, and the conversation's name, empty where it has none.

    Fields that are not known are passed over: clients send new ones with each of their versions.

    Raises:
        InvalidRequest: a field that is needed is missing or wrong; the message names it.
    """
    document = parse_object(raw)
    body, asked = read_prompt(document)
    if document.get("max_tokens") is None:
        raise InvalidRequest("`max_tokens` is missing.", param="max_tokens")
    stop = _stop_sequences(document.get("stop_sequences"))
    body |= {name: document[name] for name in _SAME if document.get(name) is not None}
    if stop:
        body["stop"] = stop
    body |= _output_format(document)
    asked = Asked(asked.model, frozenset(stop), asked.shows_thinking)
    user_id = optional_object(document, "metadata").get("user_id")
    return body, asked, user_id.encode() if isinstance(user_id, str) else b""


def read_prompt(document: Json) -> tuple[Json, Asked]:
    """
    The part of a request that is read by the model: what is counted when its tokens are.

    Raises:
        InvalidRequest: as `read_request`.
    """
    model = requested_model(document)
    tools = chat_tools(document.get("tools"), document.get("messages"))
    choice = chat_tool_choice(document.get("tool_choice"), tools)
    body: Json = {"model": model, "messages": chat_messages(document.get("system"), document.get("messages"))}
    if tools:
        body["tools"] = tools
    thinking = optional_object(document, "thinking").get("type")
    if thinking is not None and not isinstance(thinking, str):
        raise fault("thinking.type", "enabled, adaptive or disabled")
    # Claude Code is newer than we are: what it calls a new kind of thinking is a wish for thoughts.
    return body | choice, Asked(model, frozenset(), thinking not in (None, "disabled"))


def _stop_sequences(value: object) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise fault("stop_sequences", "an array of strings")
    return value


def _output_format(document: Json) -> Json:
    """The schema that the answer must have, under the name of today or of before."""
    config = optional_object(document, "output_config")
    name = "output_config.format" if config.get("format") is not None else "output_format"
    wanted = config.get("format") or document.get("output_format")
    if wanted is None:
        return {}
    schema = object_at(object_at(wanted, name).get("schema"), f"{name}.schema")
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    }
