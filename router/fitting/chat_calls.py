"""What a chat's past calls of tools were given, as engines read it. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from router.call import Call
from router.errors import InvalidRequest
from router.http.bodies import encode_object, parse_body

Json: TypeAlias = dict[str, Any]


def fit_calls(call: Call) -> Call:
    """
    The call with the arguments of each past call as the text of a JSON object: the same one where there is nothing to
    change.

    Models do write arguments that are none, and clients send them back with the tool's error for the rest of the
    conversation. llama.cpp fails with 500 at each request then, where the template wants an object; vLLM hides from the
    model what it wrote.

    Raises:
        InvalidRequest: arguments are nested too deeply.
    """
    if b'"tool_calls"' not in call.raw or not call.route.is_chat:  # as in every request that says no more than words
        return call
    messages = call.body.get("messages")
    if not isinstance(messages, list):
        return call
    fitted = with_object_arguments(messages)
    if fitted is messages:
        return call
    body = {**call.body, "messages": fitted}
    return replace(call, body=body, raw=encode_object(body))


def with_object_arguments(messages: Sequence[Json]) -> Sequence[Json]:
    """
    A chat's messages, with what `fit_calls` says.

    Raises:
        InvalidRequest: as `fit_calls`.
    """
    fitted = [_fitted(message) for message in messages]
    return messages if all(new is old for new, old in zip(fitted, messages, strict=True)) else fitted


def _fitted(message: Json) -> Json:
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return message
    fitted = [_fitted_call(call) for call in calls]
    is_same = all(new is old for new, old in zip(fitted, calls, strict=True))
    return message if is_same else {**message, "tool_calls": fitted}


def _fitted_call(call: Json) -> Json:
    function = call.get("function")
    if not isinstance(function, dict):
        return call
    given = function.get("arguments")
    text = _as_object(given)
    return call if text == given else {**call, "function": {**function, "arguments": text}}


def _as_object(arguments: object) -> str:
    """What is no object stands under a name that no tool has, so that the model sees what it wrote."""
    if isinstance(arguments, dict):
        return encode_object(arguments).decode()
    if arguments is None or (isinstance(arguments, str) and not arguments.strip()):
        return "{}"
    if isinstance(arguments, str):
        try:
            return parse_body(arguments.encode())[1].decode()
        except InvalidRequest:
            pass
    return encode_object({"INVALID_JSON": arguments}).decode()
