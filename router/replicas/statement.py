"""What an engine says of its model."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, TypeAlias

Ability: TypeAlias = Literal[
    "tools", "vision", "fim", "reasoning", "structured_output", "audio", "transcription", "speech"
]
ABILITIES: tuple[Ability, ...] = (
    "tools", "vision", "fim", "reasoning", "structured_output", "audio", "transcription", "speech",
)  # fmt: skip
"""What some models that generate can do, and others cannot."""


@dataclass(slots=True, frozen=True)
class Statement:
    """What an engine says of its model. None: it does not say."""

    chat: bool | None = None
    """It has a template by which messages become a prompt."""
    tools: bool | None = None
    forced_tools: bool | None = None
    """It makes a call that a request demands, whether or not it calls by itself. None: as `tools`."""
    vision: bool | None = None
    fim: bool | None = None
    reasoning: bool | None = None
    structured_output: bool | None = None
    audio: bool | None = None
    """It hears sound in the messages of a chat."""
    transcription: bool | None = None
    """Its server has a route for recordings, beside those for text."""
    speech: bool | None = None
    architecture: str | None = None
    """As the model's own file has it: `llama`, `qwen2`."""
    num_parameters: int | None = None
    size_bytes: int | None = None
    """Of the weights."""
    quantization: str | None = None
    file_format: str | None = None
    """`gguf` or `safetensors`."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """What of `given` is known here: a replica of another version may say more, or less."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in given.items() if name in known})


NOTHING_SAID = Statement()
