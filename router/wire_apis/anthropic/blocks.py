"""Anthropic's content blocks as the parts of a chat message. Pure."""

from router.errors import InvalidRequest
from router.fitting.file_texts import text_of_base64
from router.http.bodies import encode_object
from router.wire_apis.conversation import image_part, text_part
from router.wire_apis.fields import fault, object_at, objects_at, string_at
from router.wire_apis.pieces import Json

# No sets: clients send what has no hash.
_SHOWN = ("text", "image", "document", "search_result")
UNSEEN = (
    "thinking", "redacted_thinking", "tool_addition", "tool_removal", "mcp_tool_listing", "fallback",
)  # fmt: skip
"""Kinds that tell Anthropic's servers something, and a model nothing."""


def user_parts(block: Json, where: str) -> list[Json]:
    """
    One block of a user's message, of any kind but the result of a tool. None where it says nothing to a model.

    Raises:
        InvalidRequest: nothing in a chat completion can stand for it.
    """
    kind = block.get("type")
    if kind == "text":
        return [text_part(string_at(block, "text", where))]
    if kind == "image":
        return [image_part(_image_url(block, where))]
    if kind == "document":
        return _document_parts(block, where)
    if kind == "search_result":
        return _titled(block, [text_part(string_at(*one)) for one in _texts(block.get("content"), f"{where}.content")])
    if kind in UNSEEN:
        return []
    if kind == "container_upload":
        raise InvalidRequest(
            f"`{where}.type` is 'container_upload', and there are no containers here: send the file's text.",
            param=f"{where}.type",
        )
    raise InvalidRequest(f"`{where}.type` is {kind!r}, which cannot be passed on to this model.", param=f"{where}.type")


def tool_parts(block: Json, where: str) -> list[Json]:
    """
    As `user_parts` of what a tool brought, but with a note for what cannot be shown: no user can take it back from the
    conversation, and a model that reads the note can ask for it in another way.

    Raises:
        InvalidRequest: as `user_parts`.
    """
    unshown = _unshown(block)
    return user_parts(block, where) if unshown is None else _titled(block, [text_part(f"({unshown})")])


def result_parts(content: object, where: str) -> list[Json]:
    """
    What a tool gave back. A block of an unknown kind becomes its JSON, which says to a model what it says to anybody. A
    tool that was searched for is among those of the request from then on.

    Raises:
        InvalidRequest: it is no content.
    """
    if content is None:
        return []
    if isinstance(content, str):
        return [text_part(content)]
    parts: list[Json] = []
    for block, at in objects_at(content, where):
        if block.get("type") in _SHOWN:
            parts += tool_parts(block, at)
        elif block.get("type") == "tool_reference" and isinstance(block.get("tool_name"), str):
            parts.append(text_part(f"The tool {block['tool_name']} can be called now."))
        else:
            parts.append(text_part(encode_object(block).decode()))
    return parts


def _image_url(block: Json, where: str) -> str:
    source = object_at(block.get("source"), f"{where}.source")
    kind = source.get("type")
    if kind == "url":
        return string_at(source, "url", f"{where}.source")
    if kind == "base64":
        media_type = string_at(source, "media_type", f"{where}.source")
        return f"data:{media_type};base64,{string_at(source, 'data', f'{where}.source')}"
    raise fault(f"{where}.source.type", "base64 or url")


def _unshown(block: Json) -> str | None:
    """What it is, where it is well-formed and yet nothing that can be shown. Nothing here reads PDF or keeps files."""
    source = block.get("source")
    if block.get("type") not in ("image", "document") or not isinstance(source, dict):
        return None
    kind, media_type = source.get("type"), source.get("media_type")
    if kind == "file":
        return "A file that is kept elsewhere, which cannot be shown."
    if block["type"] == "document" and kind == "url":
        return f"A document at {source.get('url')}, which is not fetched."
    if block["type"] == "document" and kind == "base64" and not _is_text(media_type):
        return f"A document of the type {media_type}, which cannot be shown: only its text or its pages as images can."
    return None


def _is_text(media_type: object) -> bool:
    return isinstance(media_type, str) and media_type.startswith("text/")


def _document_parts(block: Json, where: str) -> list[Json]:
    source, at = object_at(block.get("source"), f"{where}.source"), f"{where}.source"
    kind = source.get("type")
    if kind == "text":
        return _titled(block, [text_part(string_at(source, "data", at))])
    if kind == "content":
        return _titled(block, _content_parts(source.get("content"), f"{at}.content"))
    if kind == "base64" and _is_text(source.get("media_type")):
        text = text_of_base64(string_at(source, "data", at))
        if text is None:
            raise fault(f"{at}.data", "a text in UTF-8, encoded as base64")
        return _titled(block, [text_part(text)])
    if kind in ("base64", "url", "file"):
        held = source.get("media_type") or "a document" if kind == "base64" else "a document that is not here"
        raise InvalidRequest(
            f"`{at}.type` is {kind!r} with {held}, which cannot be shown to this model: send its text with a source of "
            "the type text, or its pages as images.",
            param=f"{at}.type",
        )
    raise fault(f"{at}.type", "text, content or base64 of a text")


def _content_parts(content: object, where: str) -> list[Json]:
    if isinstance(content, str):
        return [text_part(content)]
    parts: list[Json] = []
    for block, at in objects_at(content, where):
        is_image = block.get("type") == "image"
        parts.append(image_part(_image_url(block, at)) if is_image else text_part(string_at(block, "text", at)))
    return parts


def _texts(content: object, where: str) -> list[tuple[Json, str, str]]:
    return [(part, "text", at) for part, at in objects_at(content, where)]


def _titled(block: Json, parts: list[Json]) -> list[Json]:
    """With its title and where it is from before it, in one text with what it says first."""
    heads = [head for name in ("title", "source", "context") if isinstance(head := block.get(name), str) and head]
    if parts and parts[0]["type"] == "text":
        heads.append(parts[0]["text"])
        parts = parts[1:]
    return [text_part("\n".join(heads)), *parts] if heads else parts
