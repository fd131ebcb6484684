"""Settings of filling in the middle: by which marks a model knows what it is to fill in."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from configs.settings import Settings, error_at

FimFamily: TypeAlias = Literal[
    "qwen_coder", "deepseek_coder", "starcoder", "code_llama", "codestral", "granite", "code_gemma"
]
"""Models that were trained with the same marks, by the first of them."""


class FimMarks(Settings):
    """The marks of a model that is of none of the families, each as it stands in the prompt."""

    prefix: Annotated[str, Field(min_length=1, max_length=100)]
    """What goes before the text that is before the cursor."""

    suffix: Annotated[str, Field(min_length=1, max_length=100)]
    """What goes before the text that is behind the cursor."""

    middle: Annotated[str, Field(max_length=100)] = ""
    """What goes before the answer. Default: nothing, for models that answer behind the last of both texts."""

    suffix_first: bool = False
    """The text behind the cursor goes first."""

    stop: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    """What ends an answer beside the marks themselves, which always do."""


class FimPolicy(Settings):
    """
    Filling in the middle: `suffix` in text completions, `/infill` and `/v1/fim/completions`.

    The router makes a prompt of both texts with the marks that the model was trained with.
    """

    template: Literal["auto", "none", "native"] | FimFamily = "auto"
    """Whose marks they are. `auto`: those that the model's tokeniser knows, as the engine says at its start.
    `none`: it cannot fill in; for models whose vocabulary has marks that they were not trained with. `native`: the
    engine gets the `suffix` as it is."""

    marks: FimMarks | None = None
    """The marks themselves, for a model of another family. `template` is then left out."""

    max_tokens: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Tokens of an answer that is to fill in, where the request names no number. Engines have very different defaults:
    16 of vLLM, and the whole context of llama.cpp."""

    @model_validator(mode="after")
    def _marks_are_of_no_family(self) -> Self:
        if self.marks is not None and self.template != "auto":
            raise error_at(("marks",), f"cannot be set beside template, which says {self.template}")
        return self
