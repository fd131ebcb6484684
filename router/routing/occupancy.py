"""Requests at once: how many each model has, and each API key at each model. Belongs to one event loop."""

from collections import Counter
from typing import TypeVar

from router.errors import EngineOverloaded, RateLimited
from router.model_table import Model

Place = tuple[str, str]
"""A model and a tenant."""
RETRY_AFTER_S = 1.0
"""When to come back for a slot, in seconds. Nobody knows when one becomes free; this is how long an answer takes at
the least, and the SDKs wait longer with each try."""


class Occupancy:
    """Requests of each model, and of each API key at each model, from their admission to their end."""

    def __init__(self) -> None:
        self._of_model: Counter[str] = Counter()
        self._of_key: Counter[tuple[str, str]] = Counter()

    def enter(self, model: Model, tenant: str) -> Place:
        """
        Give the place back by `leave`.

        Raises:
            RateLimited: this key has as many requests at this model as it may.
            EngineOverloaded: the model has.
        """
        limits, key = model.limits, (model.name, tenant)
        if limits.max_requests_per_key is not None and self._of_key[key] >= limits.max_requests_per_key:
            raise RateLimited(
                f"This API key has {self._of_key[key]} requests at the model {model.name!r}, which is as many as one "
                "may have at once.",
                retry_after_s=RETRY_AFTER_S,
            )
        if limits.max_requests is not None and self._of_model[model.name] >= limits.max_requests:
            raise EngineOverloaded(
                f"The model {model.name!r} has {self._of_model[model.name]} requests, which is as many as it takes "
                "at once here.",
                retry_after_s=RETRY_AFTER_S,
            )
        self._of_model[model.name] += 1
        self._of_key[key] += 1
        return key

    def leave(self, place: Place) -> None:
        _take_one(self._of_model, place[0])
        _take_one(self._of_key, place)


T = TypeVar("T")


def _take_one(counter: Counter[T], of: T) -> None:
    counter[of] -= 1
    if not counter[of]:
        del counter[of]  # keys come and go
