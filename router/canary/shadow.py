"""Which backend gets copies of a model's requests, and of how many."""

from dataclasses import dataclass

from configs.backends import ShadowSettings
from router.canary.backends import Backend
from router.canary.trial import Trial

CANARY_MAX_RUNNING = 4
"""Copies of a canary's shadow that are under way at once, by way of one router."""
CANARY_TIMEOUT_S = 60.0
"""When a copy of a canary's shadow is aborted in its engine, in seconds."""


@dataclass(slots=True, frozen=True)
class Shadow:
    """`ratio` is above 0, up to 1. `tally_id` is what its figures are counted under. The others are as in the file."""

    backend: Backend
    ratio: float
    max_running: int
    timeout_s: float
    tally_id: str


def shadow_of(model: str, settings: ShadowSettings | None, running: Trial | None) -> Shadow | None:
    """That of the canary, where one runs and wants one; else that of the file."""
    if running is not None and running.shadow_percent:
        backend = Backend(running.application, running.adapter)
        ratio = running.shadow_percent / 100
        return Shadow(backend, ratio, CANARY_MAX_RUNNING, CANARY_TIMEOUT_S, running.id)
    if settings is None:
        return None
    backend = Backend(settings.application, settings.adapter)
    return Shadow(backend, settings.ratio, settings.max_running, settings.timeout_s, f"shadow:{model}:{backend.label}")
