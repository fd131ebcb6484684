"""The parts of a Responses message, or of what a tool gave back, as those of a chat message. Pure."""

from router.errors import InvalidRequest
from router.fitting.file_texts import named, text_of_file_data
from router.wire_apis.conversation import image_part, text_part
from router.wire_apis.fields import fault, object_at, objects_at, string_at
from router.wire_apis.pieces import Json

# No sets: clients send what has no hash.
_TEXTS = ("input_text", "output_text", "text", "summary_text", "reasoning_text")
_IMAGES = ("input_image", "computer_screenshot")


def user_parts(content: object, where: str) -> list[Json]:
    """
    What a user says.

    Raises:
        InvalidRequest: a part cannot be passed on, and where it is.
    """
    if isinstance(content, str):
        return [text_part(content)]
    return [_part(part, at) for part, at in _listed(content, where)]


def model_parts(content: object, where: str) -> list[Json]:
    """
    What the model said: its texts. Other parts are left out, for nobody can take them back.

    Raises:
        InvalidRequest: it is no content, or a text has none.
    """
    if isinstance(content, str):
        return [text_part(content)]
    listed = _listed(content, where)
    return [_part(part, at) for part, at in listed if part.get("type") in (*_TEXTS, "refusal")]


def tool_parts(content: object, where: str) -> list[Json]:
    """
    What a tool gave back, with a note in place of a file that cannot be shown: a model that reads it can ask for it in
    another way.

    Raises:
        InvalidRequest: as `user_parts`.
    """
    if isinstance(content, str):
        return [text_part(content)]
    return [
        text_part(f"(A file, {_name_of(part)}, that cannot be shown.)") if _is_unshown(part) else _part(part, at)
        for part, at in _listed(content, where)
    ]


def _listed(content: object, where: str) -> list[tuple[Json, str]]:
    if not isinstance(content, list):
        raise fault(where, "a string or an array of parts")
    return list(objects_at(content, where))


def _part(part: Json, where: str) -> Json:
    kind = part.get("type")
    if kind in _TEXTS:
        return text_part(string_at(part, "text", where))
    if kind == "refusal":
        return text_part(string_at(part, "refusal", where))
    if kind in _IMAGES:
        if part.get("image_url") is None:
            raise InvalidRequest(
                f"`{where}.image_url` is missing: files are not kept here, so send the image as an address or as data.",
                param=f"{where}.image_url",
            )
        return image_part(string_at(part, "image_url", where))
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": object_at(part.get("input_audio"), f"{where}.input_audio")}
    if kind == "input_file":
        return text_part(_file_text(part, where))
    raise InvalidRequest(f"`{where}.type` is {kind!r}, which cannot be passed on to this model.", param=f"{where}.type")


def _is_unshown(part: Json) -> bool:
    if part.get("type") in _IMAGES:
        return part.get("image_url") is None and isinstance(part.get("file_id"), str)
    return part.get("type") == "input_file" and text_of_file_data(part.get("file_data")) is None


def _name_of(part: Json) -> str:
    names = (part.get(name) for name in ("filename", "file_url", "file_id"))
    return next((name for name in names if isinstance(name, str) and name), "without a name")


def _file_text(part: Json, where: str) -> str:
    text = text_of_file_data(part.get("file_data"))
    if text is None:
        field = next((name for name in ("file_data", "file_url", "file_id") if part.get(name) is not None), "file_data")
        raise InvalidRequest(
            f"`{where}.{field}` is no text, and nothing else of a file can be shown to this model: send its text as "
            "`input_text`, or its pages as `input_image`.",
            param=f"{where}.{field}",
        )
    return named(part.get("filename"), text)
