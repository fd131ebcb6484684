"""Parts of a chat's messages that engines have no place for, as texts. Pure."""

from dataclasses import replace
from typing import Any, TypeAlias

from router.call import Call
from router.errors import InvalidRequest
from router.fitting.file_texts import named, text_of_file_data
from router.http.bodies import encode_object

Message: TypeAlias = dict[str, Any]


def fit_parts(call: Call) -> Call:
    """
    The call with files that are text as texts, with refusals as what the model said, and without the sound of its
    former answers, which nobody keeps: the same one where there is nothing to change.

    Raises:
        InvalidRequest: a file is no text, or is not in the request.
    """
    raw = call.raw
    if b'"file"' not in raw and b'"refusal"' not in raw and b'"audio"' not in raw:  # as in nearly every request
        return call
    messages = call.body.get("messages")
    if not call.route.is_chat or not isinstance(messages, list):
        return call
    fitted = [_fitted(message, f"messages[{index}]") for index, message in enumerate(messages)]
    if all(new is old for new, old in zip(fitted, messages, strict=True)):
        return call
    body = {**call.body, "messages": fitted}
    return replace(call, body=body, raw=encode_object(body))


def _fitted(message: Message, where: str) -> Message:
    content = message.get("content")
    changes: Message = {}
    if isinstance(content, list) and any(part.get("type") in ("file", "refusal") for part in content):
        changes["content"] = [_fitted_part(part, f"{where}.content[{at}]") for at, part in enumerate(content)]
    if message["role"] != "assistant":
        return {**message, **changes} if changes else message
    refusal = message.get("refusal")
    if isinstance(refusal, str) and not content:
        changes["content"] = refusal
    elif message.get("audio") is not None and not content:
        changes["content"] = ""
    lost = [name for name in ("refusal", "audio") if message.get(name) is not None]
    if not changes and not lost:
        return message
    return {name: value for name, value in {**message, **changes}.items() if name not in lost}


def _fitted_part(part: Message, where: str) -> Message:
    kind = part.get("type")
    if kind == "refusal" and isinstance(part.get("refusal"), str):
        return {"type": "text", "text": part["refusal"]}
    if kind != "file":
        return part
    file = part.get("file")
    if not isinstance(file, dict):
        raise InvalidRequest(f"`{where}.file` must be an object.", param=f"{where}.file")
    text = text_of_file_data(file.get("file_data"))
    if text is None:
        field = f"{where}.file.{'file_id' if file.get('file_data') is None else 'file_data'}"
        raise InvalidRequest(
            f"`{field}` is no text, and nothing else of a file can be shown to this model: send its text, or its pages "
            "as images.",
            param=field,
        )
    return {"type": "text", "text": named(file.get("filename"), text)}
