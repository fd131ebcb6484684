"""The text of a file that came inside a request. Pure."""

import base64
import binascii

_PDF = "%PDF-"
"""How every PDF begins. One without images may well be UTF-8 and yet nothing to read."""


def text_of_base64(data: str) -> str | None:
    """The text that is encoded so; None where that is none."""
    try:
        text = base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):  # the latter also where it is no UTF-8
        return None
    return None if text.startswith(_PDF) or "\0" in text else text


def text_of_file_data(data: object) -> str | None:
    """As `text_of_base64`, also of a `data:` address. None where it is no string, or of another kind."""
    if not isinstance(data, str):
        return None
    head, comma, encoded = data.partition(",")
    if comma and not head.removeprefix("data:").startswith("text/"):
        return None
    return text_of_base64(encoded if comma else data)


def named(name: object, text: str) -> str:
    """A file's text after its name, where it has one."""
    return f"{name}\n{text}" if isinstance(name, str) and name else text
