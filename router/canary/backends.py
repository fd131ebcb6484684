"""
Which of a model's backends a session gets. Pure.

A weighted rendezvous hash: every backend draws a number for the session, from its own name and the session's key, and
the greatest draw has it. All routers draw the same. A backend whose weight grows takes sessions from the others in
proportion to their weights and moves none between them; one that goes gives its own to the others.

Source:
    Schindelhauer and Schomaker, Weighted distributed hash tables, 2005: with the score -weight / ln(draw) each backend
    is first as often as its weight says.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log

from configs.backends import BackendSettings, label_of
from router.replicas.choice import score

_DRAWS = float(1 << 64)


@dataclass(slots=True, frozen=True)
class Backend:
    """
    One that may serve a model. `tenants` are ids of API keys that always go here.

    `stands_by`: it is asked for a session of another backend when that has no replica which takes the request.
    """

    application: str
    adapter: str | None = None
    weight: float = 1.0
    tenants: frozenset[str] = frozenset()
    stands_by: bool = True
    hash_seed: int = field(init=False, repr=False)
    """64 bits that stand for its label."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "hash_seed", digest_of(self.label.encode()))

    @property
    def label(self) -> str:
        """What it is called in metrics, in the log and by the command line."""
        return label_of(self.application, self.adapter)


def backend_of(settings: BackendSettings) -> Backend:
    return Backend(settings.application, settings.adapter, settings.weight, frozenset(settings.tenants))


def rank(backends: Sequence[Backend], key: int, tenant_id: str = "") -> tuple[Backend, ...]:
    """
    The backend of a session, and those that are asked after it, one after another.

    Args:
        backends: not empty.
        key: 64 bits that stand for the session.
        tenant_id: that of the request's API key; empty where there are no keys.
    """
    ranked = sorted(backends, key=lambda one: _score(one, key), reverse=True)
    own = next((one for one in backends if tenant_id in one.tenants), ranked[0])
    return (own, *(one for one in ranked if one is not own and one.stands_by))


def digest_of(data: bytes) -> int:
    """64 bits, the same in every process."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def _score(backend: Backend, key: int) -> float:
    draw = (score(key, backend.hash_seed) + 0.5) / _DRAWS  # above 0 and, but for rounding, below 1
    return backend.weight / -log(draw) if draw < 1.0 else backend.weight * _DRAWS
