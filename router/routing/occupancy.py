"""Requests at once: how many each model has, and each API key at each model. Belongs to one event loop."""

from typing import TypeVar

from router.errors import EngineOverloaded, RateLimited
from router.models.table import Model

Place = tuple[str, str]
"""A model and a tenant."""
RETRY_AFTER_S = 1.0
"""When to come back for a slot, in seconds. Nobody knows when one becomes free; this is how long an answer takes at
the least, and the SDKs wait longer with each try."""


class Occupancy:
    """Requests of each model, and of each API key at each model, from their admission to their end."""

    def __init__(self) -> None:
        self._of_model: dict[str, int] = {}
        self._of_key: dict[Place, int] = {}

    def enter(self, model: Model, tenant: str) -> Place:
        """
        Give the place back by `leave`.

        Raises:
            RateLimited: this key has as many requests at this model as it may.
            EngineOverloaded: the model has.
        """
        limits, key = model.limits, (model.name, tenant)
        num_of_key, num_of_model = self._of_key.get(key, 0), self._of_model.get(model.name, 0)
        if limits.max_requests_per_key is not None and num_of_key >= limits.max_requests_per_key:
            raise RateLimited(
                f"This API key has {num_of_key} requests at the model {model.name!r}, which is as many as one "
                "may have at once.",
                retry_after_s=RETRY_AFTER_S,
            )
        if limits.max_requests is not None and num_of_model >= limits.max_requests:
            raise EngineOverloaded(
                f"The model {model.name!r} has {num_of_model} requests, which is as many as it takes at once here.",
                retry_after_s=RETRY_AFTER_S,
            )
        self._of_model[model.name] = num_of_model + 1
        self._of_key[key] = num_of_key + 1
        return key

    def leave(self, place: Place) -> None:
        _take_one(self._of_model, place[0])
        _take_one(self._of_key, place)


T = TypeVar("T")


def _take_one(counts: dict[T, int], of: T) -> None:
    num_left = counts.pop(of) - 1
    if num_left:  # keys come and go
        counts[of] = num_left
