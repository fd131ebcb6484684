"""What a router sees of each application's load, and no engine can: for whoever decides how many replicas there are."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from router.load.first_tokens import FirstTokens, together


@dataclass(slots=True, frozen=True)
class RouterLoad:
    """By application: how many requests want it and are served by none of its replicas, and how its streams began."""

    demand: Mapping[str, int] = field(default_factory=dict)
    first_tokens: Mapping[str, FirstTokens] = field(default_factory=dict)

    @property
    def is_nothing(self) -> bool:
        return not self.demand and not self.first_tokens

    def asked_for(self, applications: Collection[str]) -> "RouterLoad":
        """The same, of the streams only those of these applications: nobody asks how the others began."""
        began = {name: word for name, word in self.first_tokens.items() if name in applications}
        return replace(self, first_tokens=began)

    @classmethod
    def of(cls, loads: Iterable["RouterLoad"]) -> Self:
        """That of several together."""
        parts = list(loads)
        demand = sum((Counter(part.demand) for part in parts), Counter[str]())
        names = {name for part in parts for name in part.first_tokens}
        words = {
            name: together(part.first_tokens[name] for part in parts if name in part.first_tokens) for name in names
        }
        return cls(demand, {name: word for name, word in words.items() if word is not None})
