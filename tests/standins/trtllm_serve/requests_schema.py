"""The models that requests are checked against, with the checks that JSON schema cannot say."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, model_validator
from schema_models import SchemaModels

STRICT_TOOLS = {"FunctionDefinition": {"strict": {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": None}}}
"""Accepted by later versions."""


def _check_stream_options(data: Any) -> None:
    if isinstance(data, dict) and data.get("stream_options") and not data.get("stream"):
        raise ValueError("stream_options can only be set if stream is true")


class ChatChecks(BaseModel):
    @model_validator(mode="before")
    @classmethod
    def check_together(cls, data: Any) -> Any:
        _check_stream_options(data)
        if isinstance(data, dict) and data.get("top_logprobs") and not data.get("logprobs"):
            raise ValueError("logprobs must be true when using top_logprobs")
        return data


class CompletionChecks(BaseModel):
    @model_validator(mode="before")
    @classmethod
    def check_together(cls, data: Any) -> Any:
        _check_stream_options(data)
        if isinstance(data, dict) and data.get("suffix"):
            raise ValueError("suffix is not supported")
        return data


def request_models(version: str) -> SchemaModels:
    return SchemaModels(
        Path(__file__).with_name("requests.json"),
        bases={"ChatCompletionRequest": ChatChecks, "CompletionRequest": CompletionChecks},
        extra_fields=STRICT_TOOLS if version == "1.4.0rc1" else None,
    )
