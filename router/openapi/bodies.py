"""What requests and answers look like, in JSON Schema. Fields that are not named here are accepted everywhere."""

from collections.abc import Mapping, Sequence
from typing import Any

from router.call import ROUTES
from router.validation import (
    CHAT_FIELDS,
    COMPLETION_FIELDS,
    EMBEDDING_FIELDS,
    RERANK_FIELDS,
    ROLES,
    SPEECH_FIELDS,
    TRANSCRIPTION_FIELDS,
)

Schema = Mapping[str, Any]

_TEXT: Schema = {"type": "string"}
_NAME: Schema = {"type": "string", "minLength": 1, "description": "The name of a model, or an alias."}
_PARTS: Schema = {"anyOf": [_TEXT, {"type": "array", "items": {"type": "object"}}]}
_CHAT_PARTS: Schema = {
    "anyOf": [
        _TEXT,
        {
            "type": "array",
            "items": {
                "anyOf": [
                    {
                        "type": "object",
                        "properties": {"type": {"enum": ["text"]}, "text": _TEXT},
                        "required": ["type", "text"],
                    },
                    {"type": "object", "properties": {"type": {"not": {"enum": ["text"]}}}},
                ]
            },
        },
    ]
}
_CALLS: Schema = {
    "type": ["array", "null"],
    "items": {
        "type": "object",
        "properties": {"function": {"type": "object", "properties": {"name": _TEXT}, "required": ["name"]}},
        "required": ["function"],
    },
}
_CALLING_ROLES = frozenset({"assistant", "function"})
"""Who may say nothing, as a message may be no more than calls of tools."""
_SPEAKING_ROLE: Schema = {
    "type": "string",
    "minLength": 1,
    "description": f"One of {', '.join(sorted(ROLES - _CALLING_ROLES))}; any other speaks in the user's name.",
}
_MESSAGE: Schema = {
    "anyOf": [
        {
            "type": "object",
            "properties": {"role": _SPEAKING_ROLE, "content": _CHAT_PARTS},
            "required": ["role", "content"],
        },
        {
            "type": "object",
            "properties": {
                "role": {"enum": sorted(_CALLING_ROLES)},
                "content": {"anyOf": [*_CHAT_PARTS["anyOf"], {"type": "null"}]},
                "tool_calls": _CALLS,
            },
            "required": ["role"],
        },
    ]
}
_MESSAGES: Schema = {"type": "array", "items": _MESSAGE, "minItems": 1}
_COUNT: Schema = {"type": "integer", "minimum": 1}


def _object(properties: Schema, required: Sequence[str], **more: object) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required), **more}


def _checked(rules: Mapping[str, Any], *required: str, **others: Schema) -> Schema:
    """The fields that the router looks at. null counts as absent, so only what is required may not be null."""
    properties = {
        name: rule.schema if name in required else {"anyOf": [rule.schema, {"type": "null"}]}
        for name, rule in rules.items()
    }
    return _object({"model": _NAME, **others, **properties}, ["model", *others, *required])


_ANTHROPIC_MESSAGE = _object({"role": {"type": "string", "minLength": 1}, "content": _PARTS}, ["role", "content"])
_ANTHROPIC_TOOL = _object({"name": _TEXT, "input_schema": {"type": "object"}}, ["name"])
_ANTHROPIC_FIELDS: Schema = {
    "model": _NAME,
    "messages": {"type": "array", "items": _ANTHROPIC_MESSAGE, "minItems": 1},
    "system": _PARTS,
    "tools": {"type": "array", "items": _ANTHROPIC_TOOL},
}


_OLLAMA_MESSAGE = _object(
    {
        "role": {"enum": ["user", "assistant", "system", "tool"]},
        "content": {"type": "string", "minLength": 1},
        "tool_calls": {
            "type": "array",
            "items": _object(
                {"function": _object({"name": _TEXT, "arguments": {"type": "object"}}, ["name"])}, ["function"]
            ),
        },
    },
    ["role", "content"],
)
_OLLAMA_FIELDS: Schema = {
    "stream": {"type": "boolean", "default": True},
    "format": {"anyOf": [{"enum": ["json"]}, {"type": "object"}]},
    "options": {
        "type": "object",
        "properties": {
            "num_predict": {"type": "integer"},
            "temperature": COMPLETION_FIELDS["temperature"].schema,
            "top_p": COMPLETION_FIELDS["top_p"].schema,
            "seed": {"type": "integer"},
            "stop": COMPLETION_FIELDS["stop"].schema,
        },
    },
    "think": {"anyOf": [{"type": "boolean"}, {"enum": ["low", "medium", "high"]}]},
    "logprobs": {"type": "boolean"},
    "top_logprobs": CHAT_FIELDS["top_logprobs"].schema,
}
_FIM = _checked(
    {name: COMPLETION_FIELDS[name] for name in ("max_tokens", "stop", "temperature", "top_p", "n", "stream")},
    prompt=_TEXT,
)
_FIM_REQUEST: Schema = {
    **_FIM, "properties": {**_FIM["properties"], "suffix": _TEXT, "random_seed": {"type": "integer"}},
}  # fmt: skip
_TEXTS: Schema = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}
_SCORE_REQUEST = _object({"model": _NAME, "text_1": _TEXT, "text_2": _TEXTS}, ["model", "text_1", "text_2"])
_INFILL_REQUEST = _object(
    {
        "model": _NAME,
        "input_prefix": _TEXT,
        "input_suffix": _TEXT,
        "prompt": _TEXT,
        "input_extra": {"type": "array", "items": _object({"text": _TEXT, "filename": _TEXT}, ["text"])},
        "n_predict": {"type": "integer", "minimum": -1, "maximum": 2**31 - 1},
        "stream": {"type": "boolean"},
    },
    ["input_prefix", "input_suffix"],
)
_RECORDING = _object(
    {
        "file": {"type": "string", "format": "binary", "minLength": 1},
        "model": _NAME,
        **{name: rule.schema for name, rule in TRANSCRIPTION_FIELDS.items()},
        "timestamp_granularities[]": {"type": "array", "items": {"enum": ["word", "segment"]}},
    },
    ["file", "model"],
)

REQUESTS: Mapping[str, Schema] = {
    "/v1/chat/completions": _checked(CHAT_FIELDS, messages=_MESSAGES),
    "/v1/completions": _checked(COMPLETION_FIELDS, "prompt"),
    "/v1/embeddings": _checked(EMBEDDING_FIELDS, "input"),
    "/v1/rerank": _checked(RERANK_FIELDS, "query", "documents"),
    "/v1/audio/transcriptions": _RECORDING,
    "/v1/audio/translations": _RECORDING,
    "/v1/audio/speech": _checked(SPEECH_FIELDS, "input"),
    "/v1/messages": _object(
        {**_ANTHROPIC_FIELDS, "max_tokens": _COUNT, "stream": {"type": "boolean"}},
        ["model", "messages", "max_tokens"],
    ),
    "/v1/messages/count_tokens": _object(_ANTHROPIC_FIELDS, ["model", "messages"]),
    "/v1/responses": _object(
        {
            "model": _NAME,
            "input": {"anyOf": [_TEXT, {"type": "array", "items": {"type": "object"}, "minItems": 1}]},
            "instructions": _TEXT,
            "stream": {"type": "boolean"},
            "max_output_tokens": _COUNT,
        },
        ["model", "input"],
    ),
    "/v1/fim/completions": _FIM_REQUEST,
    "/fim/completions": _FIM_REQUEST,
    "/v1/score": _SCORE_REQUEST,
    "/score": _SCORE_REQUEST,
    "/tokenize": {
        "anyOf": [
            _object({"model": _NAME, "prompt": _TEXT}, ["prompt"]),
            _object({"model": _NAME, "content": _TEXT}, ["content"]),
            _object({"model": _NAME, "messages": _MESSAGES}, ["messages"]),
        ]
    },
    "/detokenize": _object({"model": _NAME, "tokens": {"type": "array", "items": {"type": "integer"}}}, ["tokens"]),
    "/apply-template": _object({"model": _NAME, "messages": _MESSAGES}, ["messages"]),
    "/generate": _object(
        {"inputs": _TEXT, "parameters": _object({"max_new_tokens": _COUNT}, []), "stream": {"const": False}}, ["inputs"]
    ),
    "/infill": _INFILL_REQUEST,
    "/v1/infill": _INFILL_REQUEST,
    "/api/show": _object({"model": _NAME}, ["model"]),
    "/api/chat": _object(
        {
            "model": _NAME,
            "messages": {"type": "array", "items": _OLLAMA_MESSAGE},
            "tools": {
                "type": "array",
                "items": _object({"function": _object({"name": _TEXT}, ["name"])}, ["function"]),
            },
            **_OLLAMA_FIELDS,
        },
        ["model"],
    ),
    "/api/generate": _object(
        {
            "model": _NAME,
            **dict.fromkeys(("prompt", "suffix", "system"), _TEXT),
            "raw": {"type": "boolean"},
            **_OLLAMA_FIELDS,
        },
        ["model"],
    ),
    "/api/embed": _object(
        {"model": _NAME, "input": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}, "dimensions": _COUNT},
        ["model"],
    ),
    "/api/embeddings": _object({"model": _NAME, "prompt": _TEXT}, ["model"]),
    "/v1/batches": _object(
        {
            "input_file_id": {"type": "string", "minLength": 1},
            "endpoint": {"enum": sorted(ROUTES)},
            "completion_window": {"type": "string", "pattern": "^[1-9][0-9]{0,6}[smhd]$", "examples": ["24h"]},
            "metadata": {"type": "object", "additionalProperties": _TEXT},
            "output_expires_after": {"type": "object"},
        },
        ["input_file_id", "endpoint", "completion_window"],
        additionalProperties=False,
    ),
}
"""By path, for those that take a body of JSON or are in FORMS. A path that is not here takes an object of any kind."""
FORMS = frozenset({"/v1/audio/transcriptions", "/v1/audio/translations"})
"""Paths that take multipart/form-data."""

UPLOAD: Schema = _object(
    {
        "file": {"type": "string", "format": "binary"},
        "purpose": {"enum": ["batch"]},
        "expires_after[anchor]": {"enum": ["created_at"]},
        "expires_after[seconds]": {"type": "integer", "minimum": 3600, "maximum": 2_592_000},
    },
    ["file", "purpose"],
    additionalProperties=False,
    dependentRequired={
        "expires_after[anchor]": ["expires_after[seconds]"],
        "expires_after[seconds]": ["expires_after[anchor]"],
    },
)
"""`POST /v1/files`, as multipart/form-data."""

_CHOICES = {"id": _TEXT, "object": _TEXT, "model": _TEXT, "choices": {"type": "array"}}
ANSWERS: Mapping[str, Schema] = {
    "/v1/chat/completions": _object(_CHOICES, list(_CHOICES)),
    "/v1/completions": _object(_CHOICES, list(_CHOICES)),
    "/v1/embeddings": _object({"data": {"type": "array"}}, ["data"]),
    "/v1/rerank": _object({"results": {"type": "array"}}, ["results"]),
    "/v1/messages": _object(
        {"id": _TEXT, "role": {"const": "assistant"}, "content": {"type": "array"}, "stop_reason": _TEXT},
        ["id", "type", "role", "content", "stop_reason", "usage"],
    ),
    "/generate": _object({"generated_text": _TEXT}, ["generated_text"]),
    "/v1/messages/count_tokens": _object({"input_tokens": {"type": "integer"}}, ["input_tokens"]),
    "/v1/responses": _object(
        {"id": _TEXT, "object": {"const": "response"}, "output": {"type": "array"}},
        ["id", "object", "status", "output"],
    ),
    "/v1/models": _object({"data": {"type": "array"}, "table": {"type": "object"}}, ["object", "data", "table"]),
    "/v1/models/{name}": _object({"id": _TEXT}, ["id", "object", "created", "owned_by"]),
    "/health": _object({"status": {"enum": ["ok", "draining"]}}, ["status", "ready_replicas", "doubted_replicas"]),
    "/v1/files": _object({"object": _TEXT}, ["object"]),
    "/v1/batches": _object({"object": _TEXT}, ["object"]),
}
STREAMING = frozenset(
    {"/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses", "/v1/fim/completions",
     "/fim/completions", "/infill", "/v1/infill", "/v1/audio/transcriptions", "/v1/audio/translations"}
)  # fmt: skip
"""Paths whose answer is a sequence of server-sent events where the request says `stream`."""

OPENAI_ERROR = _object(
    {
        "error": _object(
            {
                "message": _TEXT,
                "type": _TEXT,
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
            ["message", "type", "param", "code"],
        )
    },
    ["error"],
)
ANTHROPIC_ERROR = _object(
    {"type": {"const": "error"}, "error": _object({"type": _TEXT, "message": _TEXT}, ["type", "message"])},
    ["type", "error", "request_id"],
)
OLLAMA_ERROR = _object({"error": _TEXT}, ["error"])
TGI_ERROR = _object({"error": _TEXT, "error_type": _TEXT}, ["error", "error_type"])
