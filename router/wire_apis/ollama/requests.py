"""Requests in Ollama's API as completions and embeddings. Pure."""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from router.call import ROUTES, Route
from router.errors import InvalidRequest, UnsupportedParameter
from router.http.bodies import parse_object
from router.wire_apis.conversation import Conversation, text_part
from router.wire_apis.fields import fault, object_at, objects_at, string_at
from router.wire_apis.ollama.logprobs import logprob_fields
from router.wire_apis.ollama.messages import chat_messages, image_parts
from router.wire_apis.ollama.names import asked_model
from router.wire_apis.ollama.options import completion_fields
from router.wire_apis.pieces import Json

CHAT = ROUTES["/v1/chat/completions"]
COMPLETIONS = ROUTES["/v1/completions"]
EMBEDDINGS = ROUTES["/v1/embeddings"]

Kind: TypeAlias = Literal["chat", "generate", "embed", "embeddings"]

_EFFORTS = ("low", "medium", "high")
_NO_TIME = re.compile(r"0+(\.0+)?(ns|us|ms|s|m|h)?")
"""`keep_alive` of 0, in Go's words for a time."""


@dataclass(slots=True, frozen=True)
class Question:
    """
    What a request asks for.

    `model` is as the client wrote it. `is_load` says that nothing is asked of the model but to be there: Ollama's
    clients load a model so. `is_unload` says that it need not be there: they free a model's memory so.
    """

    kind: Kind
    model: str
    route: Route
    body: Json
    wants_stream: bool = False
    is_load: bool = False
    is_unload: bool = False


def read_chat(raw: bytes) -> Question:
    """
    `/api/chat`.

    Raises:
        InvalidRequest: a field is missing or wrong; the message names it.
    """
    document = parse_object(raw)
    model, streams = asked_model(document), _wants_stream(document)
    messages = document.get("messages")
    if messages is None or messages == []:
        return _load("chat", CHAT, document, streams=streams)
    body = _common(document, model, streams) | {"messages": chat_messages(messages)} | _tools(document.get("tools"))
    body |= logprob_fields(document, is_text=False)
    return Question("chat", model, CHAT, body | _think(document), streams)


def read_generate(raw: bytes) -> Question:
    """
    `/api/generate`: a chat of one message; a text completion where it is `raw` or has a `suffix`.

    Raises:
        InvalidRequest: as `read_chat`.
    """
    document = parse_object(raw)
    model, streams = asked_model(document), _wants_stream(document)
    prompt, suffix, system = (_text(document, name) for name in ("prompt", "suffix", "system"))
    images = image_parts(document, "")
    if not (prompt or suffix or images):
        return _load("generate", CHAT, document, streams=streams)
    for name in ("template", "context"):
        if document.get(name):
            raise UnsupportedParameter(f"`{name}` cannot be passed on: use /api/chat, or `raw`.", param=name)
    body = _common(document, model, streams)
    is_text = document.get("raw") is True or bool(suffix)
    body |= logprob_fields(document, is_text=is_text)
    if is_text:
        if images:
            raise UnsupportedParameter("`images` cannot be passed on beside `raw` or `suffix`.", param="images")
        body |= {"prompt": prompt, **({"suffix": suffix} if suffix else {})}
        return Question("generate", model, COMPLETIONS, body, streams)
    conversation = Conversation()
    conversation.add_system(system)
    conversation.add_user([*([text_part(prompt)] if prompt else []), *images])
    return Question("generate", model, CHAT, body | {"messages": conversation.whole()} | _think(document), streams)


def read_embed(raw: bytes) -> Question:
    """
    `/api/embed`: vectors of a text or several.

    Raises:
        InvalidRequest: as `read_chat`.
    """
    document = parse_object(raw)
    model, texts = asked_model(document), document.get("input")
    if texts is None or texts in ("", []):
        return _load("embed", EMBEDDINGS, document)
    if not (isinstance(texts, str) or (isinstance(texts, list) and all(isinstance(text, str) for text in texts))):
        raise fault("input", "a string or an array of strings")
    body: Json = {"model": model, "input": texts, "encoding_format": "float"}
    if document.get("dimensions"):
        body["dimensions"] = document["dimensions"]
    return Question("embed", model, EMBEDDINGS, body)


def read_embeddings(raw: bytes) -> Question:
    """
    `/api/embeddings`, which `/api/embed` has replaced: the vector of one text.

    Raises:
        InvalidRequest: as `read_chat`.
    """
    document = parse_object(raw)
    model, prompt = asked_model(document), _text(document, "prompt")
    if not prompt:
        return _load("embeddings", EMBEDDINGS, document)
    return Question("embeddings", model, EMBEDDINGS, {"model": model, "input": prompt, "encoding_format": "float"})


def _load(kind: Kind, route: Route, document: Json, *, streams: bool = False) -> Question:
    model, kept = asked_model(document), document.get("keep_alive")
    is_unload = _NO_TIME.fullmatch(kept) is not None if isinstance(kept, str) else kept == 0 and kept is not False
    return Question(kind, model, route, {"model": model}, streams, is_load=True, is_unload=is_unload)


def _common(document: Json, model: str, streams: bool) -> Json:  # noqa: FBT001 - a field of the request
    return {"model": model, "stream": streams, **completion_fields(document), **_response_format(document)}


def _wants_stream(document: Json) -> bool:
    """Ollama streams unless told not to."""
    stream = document.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise fault("stream", "a boolean")
    return stream is not False


def _text(document: Json, name: str) -> str:
    return "" if document.get(name) is None else string_at(document, name, "")


def _tools(tools: object) -> Json:
    if not tools:
        return {}
    listed = []
    for tool, where in objects_at(tools, "tools"):
        function = object_at(tool.get("function"), f"{where}.function")
        string_at(function, "name", f"{where}.function")
        listed.append({"type": "function", "function": function})
    return {"tools": listed}


def _response_format(document: Json) -> Json:
    wanted = document.get("format")
    if wanted is None or wanted == "":
        return {}
    if wanted == "json":
        return {"response_format": {"type": "json_object"}}
    if not isinstance(wanted, dict):
        raise InvalidRequest("`format` must be json or a JSON schema.", param="format")
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": wanted}}}


def _think(document: Json) -> Json:
    """
    Whether and how hard to think, in the words that engines have for it.

    The switch is an argument of the model's chat template, by the name that Qwen gave it and others took over.
    """
    think = document.get("think")
    if think is None:
        return {}
    if isinstance(think, bool):
        return {"chat_template_kwargs": {"enable_thinking": think}}
    if think in _EFFORTS:
        return {"reasoning_effort": think}
    raise fault("think", "a boolean, low, medium or high")
