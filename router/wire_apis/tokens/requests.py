"""What is asked of `/tokenize`, `/detokenize` and `/apply-template`. Pure."""

from dataclasses import dataclass

from router.fitting.chat_calls import with_object_arguments
from router.fitting.known_roles import with_known_roles
from router.http.bodies import parse_object
from router.validation import check_chat
from router.wire_apis.fields import fault
from router.wire_apis.pieces import Json

_TEMPLATE_FIELDS = ("messages", "tools", "chat_template_kwargs", "add_generation_prompt", "continue_final_message")
_MAX_TOKEN = 2**31 - 1
"""Engines keep a token in 32 bits."""


@dataclass(slots=True, frozen=True)
class TextOrChat:
    """
    What is to be made into tokens. `chat` is the body of a chat, None for a text.

    `model` is None where none is named, which llama.cpp's clients do. `has_specials` says whether the tokens are added
    that begin a prompt.
    """

    model: str | None
    text: str
    chat: Json | None
    has_specials: bool
    wants_pieces: bool


@dataclass(slots=True, frozen=True)
class NamedChat:
    """A chat, and its model; None where none is named."""

    model: str | None
    body: Json


def read_chat(raw: bytes) -> NamedChat:
    """
    Raises:
        InvalidRequest: the request has a mistake, which the message names.
    """
    document = parse_object(raw)
    check_chat(document)
    return NamedChat(_model(document), _chat_of(document))


def read_tokenize(raw: bytes) -> TextOrChat:
    """
    vLLM's `prompt` or `messages`, or llama.cpp's `content`.

    Raises:
        InvalidRequest: the request has a mistake, which the message names.
    """
    document = parse_object(raw)
    model = _model(document)
    wants_pieces = _flag(document, "return_token_strs", otherwise=False)
    if document.get("messages") is not None:
        check_chat(document)
        return TextOrChat(model, "", _chat_of(document), has_specials=False, wants_pieces=wants_pieces)
    if document.get("content") is not None:
        has_specials = _flag(document, "add_special", otherwise=False)
        return TextOrChat(model, _text(document, "content"), None, has_specials=has_specials, wants_pieces=wants_pieces)
    has_specials = _flag(document, "add_special_tokens", otherwise=True)
    return TextOrChat(model, _text(document, "prompt"), None, has_specials=has_specials, wants_pieces=wants_pieces)


def read_detokenize(raw: bytes) -> tuple[str | None, list[int]]:
    """
    The model, None where none is named, and the tokens.

    Raises:
        InvalidRequest: the request has a mistake, which the message names.
    """
    document = parse_object(raw)
    tokens = document.get("tokens")
    if not isinstance(tokens, list) or not all(map(_is_token, tokens)):
        raise fault("tokens", f"an array of integers from 0 to {_MAX_TOKEN}")
    return _model(document), tokens


def _is_token(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_TOKEN


def _chat_of(document: Json) -> Json:
    chat = {name: document[name] for name in _TEMPLATE_FIELDS if document.get(name) is not None}
    return {**chat, "messages": with_object_arguments(with_known_roles(chat["messages"]))}


def _model(document: Json) -> str | None:
    model = document.get("model")
    if model is not None and not isinstance(model, str):
        raise fault("model", "a string that names a model")
    return model or None


def _text(document: Json, name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise fault(name, "a string")
    return value


def _flag(document: Json, name: str, *, otherwise: bool) -> bool:
    value = document.get(name)
    if value is not None and not isinstance(value, bool):
        raise fault(name, "a boolean")
    return otherwise if value is None else value
