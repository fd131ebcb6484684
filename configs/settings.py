"""The base of every settings model: strict, frozen, documented where it is defined."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError


class Settings(BaseModel):
    """A block of settings.

    Unknown keys are errors (Ray Serve would ignore them), values never change after loading, and each field's
    docstring is its documentation everywhere: in the JSON Schema, in the reference and in the editor.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=())


def _is_environment_name(value: str) -> str:
    if not value.replace("_", "").isalnum() or value[0].isdigit():
        raise ValueError("must be the name of an environment variable: letters, digits and underscores")
    return value


EnvironmentName = Annotated[str, Field(min_length=1), AfterValidator(_is_environment_name)]
"""The name of an environment variable. Ray Serve logs all `args`, so secrets are named, never written."""

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
ModelName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@+-]*$")]
"""What clients put into `model`. `|` and blanks break editor clients, so they are not allowed."""


def error_at(path: tuple[str | int, ...], message: str) -> PydanticCustomError:
    """An error for a model's validator to raise: `message`, about the value at `path` inside the model."""
    return PydanticCustomError("settings", "{message}", {"message": message, "path": path})
