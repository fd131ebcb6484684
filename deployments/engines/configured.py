"""What engines have in common whose settings say everything about their model."""

from typing import Generic, Protocol, TypeVar

from configs.engine import Task
from deployments.engines.contract import FirstRequest, cheapest_request
from deployments.engines.statements import Questions


class _OfModel(Protocol):
    """The part of every engine's settings that is looked at here."""

    @property
    def model(self) -> str: ...

    @property
    def task(self) -> Task: ...

    @property
    def max_model_len(self) -> int | None: ...


_Settings = TypeVar("_Settings", bound=_OfModel)


class ConfiguredEngine(Generic[_Settings]):
    """The part of an `Engine` that follows from its settings. An engine that tells more overrides it."""

    def __init__(self, settings: _Settings) -> None:
        self._settings = settings

    @property
    def max_model_len(self) -> int | None:
        return self._settings.max_model_len

    @property
    def first_request(self) -> FirstRequest | None:
        return cheapest_request(self._settings.model, self._settings.task)

    @property
    def questions(self) -> Questions:
        return {}
