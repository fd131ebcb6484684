"""The `messages` of Ollama's chat as those of a chat completion. Pure."""

import base64
import binascii
from collections.abc import Iterator

from router.errors import InvalidRequest
from router.http.bodies import encode_object
from router.wire_apis.conversation import Conversation, image_part, text_part, tool_call
from router.wire_apis.fields import fault, object_at, objects_at, string_at
from router.wire_apis.pieces import Json

_IMAGES = ((b"\x89PNG", "image/png"), (b"\xff\xd8", "image/jpeg"), (b"GIF8", "image/gif"), (b"BM", "image/bmp"))
"""How files begin, and what they are then: Ollama's clients send the bytes alone."""


def chat_messages(given: object) -> list[Json]:
    """
    Raises:
        InvalidRequest: something in them cannot be passed on, and where that is.
    """
    listed = list(objects_at(given, "messages"))
    conversation, calls = Conversation(), _Calls()
    last_turn = max((index for index, (message, _) in enumerate(listed) if message.get("role") == "user"), default=-1)
    for index, (message, where) in enumerate(listed):
        role = message.get("role")
        text = _content(message, where)
        if role == "user":
            conversation.add_user([*([text_part(text)] if text else []), *image_parts(message, where)])
        elif role == "assistant":
            reasoning = message.get("thinking") if index > last_turn else ""
            called = list(_tool_calls(message, where, calls))
            said = [text_part(text)] if text else []
            conversation.add_assistant(said, called, reasoning if isinstance(reasoning, str) else "")
        elif role == "tool":
            conversation.add_result(calls.answered_by(message), [text_part(text), *image_parts(message, where)])
        elif role in ("system", "developer"):
            conversation.add_system(text)
        elif isinstance(role, str) and role:
            conversation.add_other(role, [*([text_part(text)] if text else []), *image_parts(message, where)])
        else:
            raise fault(f"{where}.role", "a string, as user, assistant, system or tool")
    messages = conversation.whole()
    if not messages:
        raise fault("messages", "an array with something said in it")
    return messages


def image_parts(owner: Json, where: str) -> list[Json]:
    """
    `images`, base64 each, or a data URL as some clients send.

    Raises:
        InvalidRequest: one is neither.
    """
    given = owner.get("images")
    at = f"{where}.images" if where else "images"
    if given is None:
        return []
    if not isinstance(given, list):
        raise fault(at, "an array of strings with base64")
    return [image_part(_image_url(image, f"{at}[{index}]")) for index, image in enumerate(given)]


def _image_url(image: object, where: str) -> str:
    if not isinstance(image, str) or not image:
        raise fault(where, "a string with base64")
    if image.startswith("data:"):
        return image
    try:
        head = base64.b64decode(image[:64], validate=True)
    except (binascii.Error, ValueError):
        raise fault(where, "a string with base64") from None
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return f"data:image/webp;base64,{image}"
    kind = next((kind for beginning, kind in _IMAGES if head.startswith(beginning)), None)
    if kind is None:
        raise InvalidRequest(f"`{where}` is no PNG, JPEG, GIF, WebP or BMP image.", param=where)
    return f"data:{kind};base64,{image}"


def _content(message: Json, where: str) -> str:
    return "" if message.get("content") is None else string_at(message, "content", where)


class _Calls:
    """The tool calls of a conversation, whose results name the tool or nothing: Ollama's first clients had no ids."""

    def __init__(self) -> None:
        self._num_calls = 0
        self._open: list[tuple[str, str]] = []

    def begin(self, name: str, given_id: object) -> str:
        call_id = given_id if isinstance(given_id, str) and given_id else f"call_{self._num_calls}"
        self._num_calls += 1
        self._open.append((call_id, name))
        return call_id

    def answered_by(self, message: Json) -> str:
        """The id of the call whose result this is: by its id, else by its tool's name, else the oldest."""
        given_id = message.get("tool_call_id")
        if isinstance(given_id, str) and given_id:
            self._open = [one for one in self._open if one[0] != given_id]
            return given_id
        tool = message.get("tool_name") or message.get("name")
        found = next((one for one in self._open if one[1] == tool), None) or (self._open[0] if self._open else None)
        if found is None:
            return self.begin(str(tool), None)
        self._open.remove(found)
        return found[0]


def _tool_calls(message: Json, where: str, calls: _Calls) -> Iterator[Json]:
    given = message.get("tool_calls")
    for call, at in objects_at(given, f"{where}.tool_calls") if given is not None else ():
        function = object_at(call.get("function"), f"{at}.function")
        name = string_at(function, "name", f"{at}.function")
        arguments = object_at(function.get("arguments") or {}, f"{at}.function.arguments")
        yield tool_call(calls.begin(name, call.get("id")), name, encode_object(arguments).decode())
