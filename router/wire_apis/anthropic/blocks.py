"""Anthropic's content blocks as the parts of a chat message. Pure."""

from router.errors import InvalidRequest
from router.http.bodies import encode_object
from router.wire_apis.conversation import image_part, text_part
from router.wire_apis.fields import fault, object_at, objects_at, string_at
from router.wire_apis.pieces import Json


def user_part(block: Json, where: str) -> Json:
    """
    One block of a user's message, of any kind but the result of a tool.

    Raises:
        InvalidRequest: nothing in a chat completion can stand for it.
    """
    kind = block.get("type")
    if kind == "text":
        return text_part(string_at(block, "text", where))
    if kind == "image":
        return image_part(_image_url(block, where))
    if kind == "document":
        return text_part(_document_text(block, where))
    if kind == "search_result":
        return text_part(_search_result_text(block, where))
    raise InvalidRequest(f"`{where}.type` is {kind!r}, which cannot be passed on to this model.", param=f"{where}.type")


def result_parts(content: object, where: str) -> list[Json]:
    """
    What a tool gave back. A block of an unknown kind becomes its JSON, which says to a model what it says to anybody.

    Raises:
        InvalidRequest: it is no content, or an image or document that cannot be passed on.
    """
    if content is None:
        return []
    if isinstance(content, str):
        return [text_part(content)]
    known = ("text", "image", "document", "search_result")
    return [
        user_part(block, at) if block.get("type") in known else text_part(encode_object(block).decode())
        for block, at in objects_at(content, where)
    ]


def _image_url(block: Json, where: str) -> str:
    source = object_at(block.get("source"), f"{where}.source")
    kind = source.get("type")
    if kind == "url":
        return string_at(source, "url", f"{where}.source")
    if kind == "base64":
        media_type = string_at(source, "media_type", f"{where}.source")
        return f"data:{media_type};base64,{string_at(source, 'data', f'{where}.source')}"
    raise fault(f"{where}.source.type", "base64 or url")


def _document_text(block: Json, where: str) -> str:
    """Of a document that is text. Nothing here reads PDF, and there is no store of files."""
    source = object_at(block.get("source"), f"{where}.source")
    kind = source.get("type")
    if kind == "text":
        text = string_at(source, "data", f"{where}.source")
    elif kind == "content" and isinstance(source.get("content"), str):
        text = source["content"]
    elif kind == "content":
        inner = objects_at(source.get("content"), f"{where}.source.content")
        text = "\n".join(string_at(part, "text", at) for part, at in inner)
    else:
        raise fault(f"{where}.source.type", "text or content: other documents cannot be passed on to this model")
    return _titled(block, text)


def _search_result_text(block: Json, where: str) -> str:
    inner = objects_at(block.get("content"), f"{where}.content")
    return _titled(block, "\n".join(string_at(part, "text", at) for part, at in inner))


def _titled(block: Json, text: str) -> str:
    heads = (block.get(name) for name in ("title", "source", "context"))
    return "\n".join([*(head for head in heads if isinstance(head, str) and head), text])
