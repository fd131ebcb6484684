"""What a client's script is told of the house that it asks."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class AskedHouse:
    """
    One router's address without a path, a key that it accepts, and names of models by what they are to the scenarios.

    `m` is one that answers. The others may be missing: then the scenarios that need them are left out.
    """

    router: str
    key: str
    models: Mapping[str, str]

    def encode(self) -> str:
        return json.dumps(asdict(self))
