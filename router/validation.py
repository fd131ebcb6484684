"""What the router asks of a request before it spends anything on it: types and ranges, in OpenAI's words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from router.errors import InvalidRequest

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
"""Those that engines know. Others speak in the user's name."""


@dataclass(slots=True, frozen=True)
class _Rule:
    """`schema` is JSON Schema for what is accepted, as far as that can say it."""

    accepts: Callable[[object], bool]
    wants: str
    schema: Mapping[str, object]


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _between(low: float, high: float) -> _Rule:
    return _Rule(
        lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high,
        f"a number from {low:g} to {high:g}",
        {"type": "number", "minimum": low, "maximum": high},
    )


def _integer_from(low: int, high: int) -> _Rule:
    return _Rule(
        lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
        f"an integer from {low} to {high}" if high < 2**31 - 1 else f"an integer of {low} or more",
        {"type": "integer", "minimum": low, "maximum": high},
    )


def _one_of(*words: str) -> _Rule:
    return _Rule(lambda value: value in words, f"one of: {', '.join(words)}", {"enum": [*words]})


def _is_stop(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(part, str) for part in value))


def _is_token(value: object) -> bool:
    """Engines hold tokens in 32 bits, and some would take the last 32 of more."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _is_prompt(value: object) -> bool:
    if isinstance(value, str):
        return True
    if not isinstance(value, list) or not value:
        return False
    first = value[0]
    if isinstance(first, list):
        return all(isinstance(part, list) and all(map(_is_token, part)) for part in value)
    return all(isinstance(part, str) for part in value) or all(map(_is_token, value))


def _is_input(value: object) -> bool:
    """As a prompt, but neither empty nor with an empty list in it: there is nothing that its vector could be."""
    return _is_prompt(value) and value != "" and not (isinstance(value, list) and [] in value)


def _is_documents(value: object) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(map(_is_document, value))


def _is_document(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and isinstance(value.get("text"), str))


def _is_written_number(value: object) -> bool:
    try:
        return isinstance(value, str) and 0 <= float(value) <= 1
    except ValueError:
        return False


_TEXT: Mapping[str, object] = {"type": "string"}
_TEXT_OBJECT: Mapping[str, object] = {"type": "object", "properties": {"text": _TEXT}, "required": ["text"]}


def _texts(min_length: int) -> Mapping[str, object]:
    """A text or several, as words or as tokens. `min_length` is that of a single text, and of each list of tokens."""
    token = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
    tokens = {"type": "array", "items": token, "minItems": 1}
    each = {"type": "array", "items": token, "minItems": min_length}
    texts = {"type": "array", "items": _TEXT, "minItems": 1}
    return {
        "anyOf": [{**_TEXT, "minLength": min_length}, texts, tokens, {"type": "array", "items": each, "minItems": 1}]
    }


_BOOLEAN = _Rule(lambda value: isinstance(value, bool), "a boolean", {"type": "boolean"})
_OBJECT = _Rule(lambda value: isinstance(value, dict), "an object", {"type": "object"})
_ARRAY = _Rule(lambda value: isinstance(value, list), "an array", {"type": "array"})
_STRING = _Rule(lambda value: isinstance(value, str), "a string", {"type": "string"})
_COUNT = _integer_from(1, 2**31 - 1)
_SCHEMA_FORMAT: Mapping[str, object] = {
    "type": {"const": "json_schema"},
    "json_schema": {"type": "object", "properties": {"schema": {"type": "object"}}, "required": ["schema"]},
}
_FORMATS: Mapping[str, object] = {
    "anyOf": [
        {"type": "object", "properties": {"type": {"enum": ["text", "json_object"]}}, "required": ["type"]},
        {"type": "object", "properties": _SCHEMA_FORMAT, "required": ["type", "json_schema"]},
    ]
}
"""Those of OpenAI's. Engines may know more of them."""

COMMON_FIELDS: Mapping[str, _Rule] = {
    "stream": _BOOLEAN,
    "stream_options": _OBJECT,
    "max_tokens": _COUNT,
    "n": _integer_from(1, 128),
    "temperature": _between(0, 2),
    "top_p": _between(0, 1),
    "presence_penalty": _between(-2, 2),
    "frequency_penalty": _between(-2, 2),
    "seed": _Rule(_is_integer, "an integer", {"type": "integer"}),
    "stop": _Rule(_is_stop, "a string or an array of strings", {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}),
    "logit_bias": _OBJECT,
    "user": _STRING,
}
CHAT_FIELDS: Mapping[str, _Rule] = {
    **COMMON_FIELDS,
    "max_completion_tokens": _COUNT,
    "tools": _ARRAY,
    "tool_choice": _Rule(
        lambda value: isinstance(value, dict) or value in ("none", "auto", "required"),
        "none, auto, required or an object",
        {"anyOf": [{"enum": ["none", "auto", "required"]}, {"type": "object"}]},
    ),
    "response_format": _Rule(_OBJECT.accepts, _OBJECT.wants, _FORMATS),
    "logprobs": _BOOLEAN,
    "top_logprobs": _integer_from(0, 20),
    "parallel_tool_calls": _BOOLEAN,
}
COMPLETION_FIELDS: Mapping[str, _Rule] = {
    **COMMON_FIELDS,
    "prompt": _Rule(
        _is_prompt, "a string, an array of strings, an array of tokens or an array of arrays of tokens", _texts(0)
    ),
    "suffix": _STRING,
    "echo": _BOOLEAN,
    "best_of": _integer_from(1, 128),
    "logprobs": _integer_from(0, 20),
}
EMBEDDING_FIELDS: Mapping[str, _Rule] = {
    "input": _Rule(
        _is_input, "a text, an array of texts, an array of tokens or an array of arrays of tokens", _texts(1)
    ),
    "encoding_format": _Rule(
        lambda value: value in ("float", "base64"), "float or base64", {"enum": ["float", "base64"]}
    ),
    "dimensions": _COUNT,
    "user": _STRING,
}
RERANK_FIELDS: Mapping[str, _Rule] = {
    "query": _STRING,
    "documents": _Rule(
        _is_documents,
        "an array of texts",
        {"type": "array", "minItems": 1, "items": {"anyOf": [_TEXT, _TEXT_OBJECT]}},
    ),
    "top_n": _COUNT,
    "return_documents": _BOOLEAN,
}
_TRUTHS = ("true", "false", "1", "0")
TRANSCRIPTION_FIELDS: Mapping[str, _Rule] = {
    "language": _STRING,
    "prompt": _STRING,
    "response_format": _one_of("json", "text", "srt", "verbose_json", "vtt", "diarized_json"),
    "temperature": _Rule(_is_written_number, "a number from 0 to 1", {"type": "number", "minimum": 0, "maximum": 1}),
    "stream": _Rule(
        lambda value: isinstance(value, str) and value.lower() in _TRUTHS,
        "true or false",
        {"enum": [*_TRUTHS]},
    ),
}
"""Fields of a form, whose values are texts."""
SPEECH_FIELDS: Mapping[str, _Rule] = {
    "input": _Rule(
        lambda value: isinstance(value, str) and value != "", "a text that is not empty", {**_TEXT, "minLength": 1}
    ),
    "voice": _Rule(
        lambda value: isinstance(value, str | dict),
        "a string or an object",
        {"anyOf": [_TEXT, {"type": "object"}]},
    ),
    "instructions": _STRING,
    "response_format": _STRING,
    "speed": _between(0.25, 4),
    "stream_format": _one_of("audio", "sse"),
}


def check_chat(body: Mapping[str, object]) -> None:
    """
    Raises:
        InvalidRequest: a field that every engine reads has the wrong type or range; `param` names it. Fields that
            only some engines know are theirs to judge.
    """
    _check_fields(body, CHAT_FIELDS)
    wanted = body.get("response_format")
    if isinstance(wanted, dict):
        _check_format(wanted)
    messages = body.get("messages")
    if messages is None:
        raise InvalidRequest("`messages` is missing.", param="messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("`messages` must be an array with at least one message.", param="messages")
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]")


def check_completion(body: Mapping[str, object]) -> None:
    """
    Raises:
        InvalidRequest: as `check_chat`.
    """
    _check_fields(body, COMPLETION_FIELDS)
    _check_present(body, "prompt")


def check_embedding(body: Mapping[str, object]) -> None:
    """
    Raises:
        InvalidRequest: as `check_chat`.
    """
    _check_fields(body, EMBEDDING_FIELDS)
    _check_present(body, "input")


def check_rerank(body: Mapping[str, object]) -> None:
    """
    Raises:
        InvalidRequest: as `check_chat`.
    """
    _check_fields(body, RERANK_FIELDS)
    _check_present(body, "query")
    _check_present(body, "documents")


def check_transcription(body: Mapping[str, object]) -> None:
    """
    Args:
        body: the fields of a form; that with the recording is looked at where the form is read.

    Raises:
        InvalidRequest: as `check_chat`.
    """
    _check_fields(body, TRANSCRIPTION_FIELDS)


def check_speech(body: Mapping[str, object]) -> None:
    """
    Raises:
        InvalidRequest: as `check_chat`.
    """
    _check_fields(body, SPEECH_FIELDS)
    _check_present(body, "input")


def requested_model(body: Mapping[str, object]) -> str:
    """
    The model that the request names.

    Raises:
        InvalidRequest: it names none.
    """
    model = body.get("model")
    if model is None:
        raise InvalidRequest("`model` is missing.", param="model")
    if not isinstance(model, str) or not model:
        raise InvalidRequest("`model` must be a string that names a model.", param="model")
    return model


def _check_fields(body: Mapping[str, object], rules: Mapping[str, _Rule]) -> None:
    for name, value in body.items():
        rule = rules.get(name)
        if rule is not None and value is not None and not rule.accepts(value):
            raise InvalidRequest(f"`{name}` must be {rule.wants}.", param=name)


def _check_present(body: Mapping[str, object], name: str) -> None:
    if body.get(name) is None:
        raise InvalidRequest(f"`{name}` is missing.", param=name)


def _check_format(wanted: Mapping[str, object]) -> None:
    """Engines differ in what they make of a schema that is not there. Which types there are is theirs to say."""
    kind = wanted.get("type")
    if not isinstance(kind, str):
        message = "`response_format.type` must be a string: text, json_object or json_schema."
        raise InvalidRequest(message, param="response_format.type")
    if kind != "json_schema":
        return
    where = "response_format.json_schema"
    wrapper = wanted.get("json_schema")
    if not isinstance(wrapper, dict):
        raise InvalidRequest(f"`{where}` must be an object with a `schema`.", param=where)
    if not isinstance(wrapper.get("schema"), dict):
        raise InvalidRequest(f"`{where}.schema` must be an object, a JSON schema.", param=f"{where}.schema")


def _check_message(message: object, param: str) -> None:
    if not isinstance(message, dict):
        raise InvalidRequest(f"`{param}` must be an object with a role.", param=param)
    role = message.get("role")
    if not isinstance(role, str) or not role:
        message = f"`{param}.role` must be a string, as {', '.join(sorted(ROLES))}."
        raise InvalidRequest(message, param=f"{param}.role")
    content = message.get("content")
    if content is not None and not isinstance(content, str | list):
        raise InvalidRequest(f"`{param}.content` must be a string or an array of parts.", param=f"{param}.content")
    if content is None and role not in ("assistant", "function"):
        raise InvalidRequest(f"`{param}.content` is missing.", param=f"{param}.content")
    if isinstance(content, list):
        _check_parts(content, f"{param}.content")
    if message.get("tool_calls") is not None:
        _check_calls(message["tool_calls"], f"{param}.tool_calls")


def _check_parts(parts: list[object], param: str) -> None:
    for index, part in enumerate(parts):
        if not isinstance(part, dict):
            raise InvalidRequest(f"`{param}` must hold objects.", param=param)
        if part.get("type") == "text" and not isinstance(part.get("text"), str):
            raise InvalidRequest(f"`{param}[{index}].text` must be a string.", param=f"{param}[{index}].text")


def _check_calls(calls: object, param: str) -> None:
    """At what is wrong in them some engines fail, and would be taken for broken."""
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise InvalidRequest(f"`{param}` must be an array of objects.", param=param)
    for index, call in enumerate(calls):
        function, where = call.get("function"), f"{param}[{index}].function"
        if call.get("type") in (None, "function") and not isinstance(function, dict):
            raise InvalidRequest(f"`{where}` must be an object.", param=where)
        if isinstance(function, dict) and not isinstance(function.get("name"), str):
            raise InvalidRequest(f"`{where}.name` must be a string.", param=f"{where}.name")
