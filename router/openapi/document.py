"""The document as a whole: bodies, statuses and errors for each route that FastAPI only knows by name. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from router.call import ROUTES
from router.errors import ServingError
from router.openapi.bodies import (
    ANSWERS,
    ANTHROPIC_ERROR,
    FORMS,
    OLLAMA_ERROR,
    OPENAI_ERROR,
    REQUESTS,
    STREAMING,
    TGI_ERROR,
    UPLOAD,
    Schema,
)

_GENERATING = (400, 401, 404, 408, 413, 429, 431, 500, 503, 504)
_STORED = (400, 401, 404, 408, 413, 431, 500, 501, 503)
_LISTED = (400, 401, 404, 431, 500, 503)
_ANONYMOUS = (400, 431, 500, 503)
_OBJECT: Schema = {"type": "object"}
_EVENTS = "text/event-stream"
_LIST_QUERY: Mapping[str, Schema] = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 100},
    "order": {"enum": ["asc", "desc"]},
    "after": {"type": "string"},
}
_KEYS: Mapping[str, Schema] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "api-key": {"type": "apiKey", "in": "header", "name": "api-key"},
}


def described(document: Mapping[str, Any], anonymous: Iterable[str]) -> dict[str, Any]:
    """
    FastAPI's document, completed.

    Args:
        document: with every route, and of most of them no more than path, method and summary.
        anonymous: paths that need no key.
    """
    open_paths = frozenset(anonymous)
    paths = {
        path: {method: _operation(path, method, known, open_paths) for method, known in operations.items()}
        for path, operations in document["paths"].items()
    }
    schemas = {
        "Error": OPENAI_ERROR,
        "AnthropicError": ANTHROPIC_ERROR,
        "OllamaError": OLLAMA_ERROR,
        "TgiError": TGI_ERROR,
    }
    components = {"schemas": schemas, "securitySchemes": _KEYS}
    return {**document, "paths": paths, "components": components}


def _operation(path: str, method: str, known: Mapping[str, Any], open_paths: frozenset[str]) -> dict[str, Any]:
    operation = {**known, "responses": {"200": _success(path), **_failures(path, method, open_paths)}}
    if path not in open_paths:
        operation["security"] = [{name: []} for name in _KEYS]
    if method == "get" and path in ("/v1/files", "/v1/batches"):
        operation["parameters"] = [
            {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in _LIST_QUERY.items()
        ]
    if path == "/props":
        operation["parameters"] = [{"name": "model", "in": "query", "required": False, "schema": {"type": "string"}}]
    if method == "post" and not path.endswith("/cancel"):
        kind, schema = ("multipart/form-data", UPLOAD) if path == "/v1/files" else _body(path)
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": schema}}}
    return operation


def _body(path: str) -> tuple[str, Schema]:
    return "multipart/form-data" if path in FORMS else "application/json", REQUESTS.get(path, _OBJECT)


def _success(path: str) -> Schema:
    content: dict[str, Schema] = {"application/json": {"schema": ANSWERS.get(path, _OBJECT)}}
    if path == "/":
        content = {"text/plain": {"schema": {"type": "string"}}}
    elif path.endswith("/content"):
        content = {"application/octet-stream": {"schema": {"type": "string"}}}
    elif path == "/v1/audio/speech":
        content = {"audio/*": {"schema": {"type": "string", "format": "binary"}}, _EVENTS: {}}
    elif path in FORMS:
        content |= {"text/*": {"schema": {"type": "string"}}, _EVENTS: {}}
    elif path in STREAMING:
        content[_EVENTS] = {}  # its events are no one value that a schema could describe
    elif path.startswith("/api/"):
        content["application/x-ndjson"] = {"schema": {"type": "string"}}
    return {"description": "What was asked for.", "content": content}


# errors


def _failures(path: str, method: str, open_paths: frozenset[str]) -> dict[str, Schema]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{_envelope(path)}"}}}
    codes = _codes_by_status()
    return {
        str(status): {"description": f"One of: {', '.join(codes[status])}.", "content": content}
        for status in _statuses(path, method, open_paths)
        if status in codes
    }


def _statuses(path: str, method: str, open_paths: frozenset[str]) -> Sequence[int]:
    if path in open_paths:
        return _ANONYMOUS
    if path.startswith(("/v1/files", "/v1/batches")):
        return _STORED
    if path.startswith("/api/"):
        return (*_GENERATING, 403)  # what only an Ollama can be asked for, as to pull a model
    return _GENERATING if path in ROUTES or method == "post" else _LISTED


def _envelope(path: str) -> str:
    if path.startswith("/v1/messages"):
        return "AnthropicError"
    if path == "/generate":
        return "TgiError"
    return "OllamaError" if path.startswith("/api/") else "Error"


def _codes_by_status() -> dict[int, list[str]]:
    codes: dict[int, list[str]] = {}
    kinds: list[type[ServingError]] = [ServingError, *_kinds(ServingError)]
    for kind in kinds:
        codes.setdefault(kind.status, []).append(kind.code)
    return {status: sorted(set(found)) for status, found in codes.items()}


def _kinds(base: type[ServingError]) -> Iterator[type[ServingError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)
