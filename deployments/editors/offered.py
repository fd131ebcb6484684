"""Models as `/v1/models` lists them. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from configs.engine import Task

Ability = Literal["tools", "vision", "completion"]
"""`completion` is that of the middle of a text, with what stands behind it."""

_WORDS: Mapping[Ability, frozenset[str]] = {
    "tools": frozenset({"tools", "tool_calling", "tool_use", "tool-calling"}),
    "vision": frozenset({"vision", "images", "image_input"}),
    "completion": frozenset({"insert", "fim", "fill_in_the_middle", "infill"}),
}
ASSUMED_TOKENS = 32_768
"""The context of a model that does not say it. VS Code takes the same of an Ollama."""
_CODE_MODELS = re.compile(
    r"coder|codestral|starcoder|code-?llama|code-?gemma|granite|stable-?code|seed-?coder", re.IGNORECASE
)


@dataclass(slots=True, frozen=True)
class OfferedModel:
    """One name. `max_model_len` is in tokens, 0 where the router does not say. `root` is the model behind an alias."""

    name: str
    max_model_len: int
    task: Task = "generate"
    capabilities: frozenset[str] | None = None
    """In the router's words; None where it does not say."""
    root: str = ""

    @property
    def told_model_len(self) -> int:
        """The context for settings that must have one: of 0 tokens, clients would send and take nothing."""
        return self.max_model_len or ASSUMED_TOKENS

    @property
    def is_alias(self) -> bool:
        return self.root not in ("", self.name)

    def can(self, ability: Ability) -> bool | None:
        """None where nobody knows. What completes code is guessed by its name where the router says nothing."""
        if self.capabilities is not None:
            return not self.capabilities.isdisjoint(_WORDS[ability])
        if ability == "completion" and _CODE_MODELS.search(f"{self.name} {self.root}"):
            return True
        return None


def offered_model(card: Mapping[str, Any]) -> OfferedModel:
    """A card has neither a context nor a task as long as the router knows no replica."""
    return OfferedModel(
        name=card["id"],
        max_model_len=card.get("max_model_len") or 0,
        task=card.get("task") or "generate",
        capabilities=_capabilities(card.get("capabilities")),
        root=card.get("root") or "",
    )


def _capabilities(said: object) -> frozenset[str] | None:
    """Lists name what a model can; objects say yes or no to each word. Of a model that never ran a list is empty."""
    if isinstance(said, Mapping):
        return frozenset(str(word).lower() for word, is_able in said.items() if is_able)
    if isinstance(said, Iterable) and not isinstance(said, str):
        return frozenset(str(word).lower() for word in said) or None
    return None
