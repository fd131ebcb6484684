"""A canary as it is kept while it lasts, and what it makes of a model. Pure."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from configs.backends import CanaryRule, label_of
from configs.router import ModelRoute
from router.canary.backends import Backend

State = Literal["running", "promoted", "aborted", "superseded"]


@dataclass(slots=True, frozen=True)
class Ending:
    """How a canary ended. `at` is Unix time, in seconds; `reason` is a sentence for a person."""

    state: State
    reason: str
    at: float

    @classmethod
    def decode(cls, note: bytes | None) -> "Ending | None":
        return None if note is None else cls(**orjson.loads(note))


@dataclass(slots=True, frozen=True)
class Trial:
    """
    One canary of one model.

    `percent` is its share of the model's sessions, 0 to 100. `tenants` are ids of API keys that all go to it.
    `shadow_percent` is the share of the model's other requests that is copied to it. `base` stands for the backends
    that the model's row had in the file when it began. `started_at` is Unix time, in seconds.
    """

    id: str
    model: str
    application: str
    adapter: str | None
    percent: float
    tenants: tuple[str, ...]
    shadow_percent: float
    rule: CanaryRule
    base: str
    started_at: float
    ending: Ending | None = None

    @property
    def label(self) -> str:
        return label_of(self.application, self.adapter)

    @property
    def state(self) -> State:
        return "running" if self.ending is None else self.ending.state

    @property
    def portion(self) -> str:
        """What it gets of its model, for people."""
        parts = [f"{self.percent:g} % of its sessions"] if self.percent else []
        parts += [f"those of {len(self.tenants)} tenants"] if self.tenants else []
        parts += [f"copies of {self.shadow_percent:g} % of its requests"] if self.shadow_percent else []
        return ", ".join(parts)

    def encode(self) -> bytes:
        """Without its ending, which is kept apart."""
        fields = {name: getattr(self, name) for name in _FIELDS}
        return orjson.dumps({**fields, "rule": self.rule.model_dump()})

    @classmethod
    def decode(cls, record: bytes) -> "Trial":
        """
        As it was encoded.

        Raises:
            KeyError, TypeError, ValueError: it was not encoded so.
        """
        fields: dict[str, Any] = orjson.loads(record)
        fields |= {name: float(fields[name]) for name in ("percent", "shadow_percent", "started_at")}
        fields |= {"tenants": tuple(fields["tenants"]), "rule": CanaryRule(**fields["rule"])}
        return cls(**fields)


_FIELDS = tuple(name for name in Trial.__dataclass_fields__ if name not in ("rule", "ending"))


def base_of(route: ModelRoute) -> str:
    """Stands for the backends of a model's row: whoever changes them has decided anew, and no canary outlasts that."""
    shares = [share.model_dump(mode="json") for share in route.shares]
    return hashlib.blake2b(orjson.dumps(shares, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()


def in_force(trials: Sequence[Trial], model: str, base: str) -> tuple[Trial | None, Trial | None]:
    """
    Of a model, the promotion that holds and the canary that runs.

    Args:
        trials: all that are known.
        model: its name.
        base: that of the model's row now.
    """
    own = sorted((one for one in trials if (one.model, one.base) == (model, base)), key=lambda one: one.started_at)
    promoted = [one for one in own if one.state == "promoted"]
    running = [one for one in own if one.state == "running"]
    return (promoted[-1] if promoted else None, running[-1] if running else None)


def shares_with(backends: Sequence[Backend], promoted: Trial | None, running: Trial | None) -> tuple[Backend, ...]:
    """
    What a model's sessions are shared among, the greatest share first.

    A promoted backend is the only one. A canary takes its percentage, and leaves the rest to be shared as before.

    Args:
        backends: as in the file.
        promoted: what was made the model's own since.
        running: what is tried now.
    """
    if promoted is not None:
        backends = [Backend(promoted.application, promoted.adapter)]
    if running is not None:
        share = running.percent / 100
        others = [one for one in backends if one.label != running.label]
        total = sum(one.weight for one in others) or 1.0
        tenants = frozenset(running.tenants)
        stands_by = len(others) < len(backends)  # the file wants it to
        backends = [
            *(replace(one, weight=one.weight / total * (1 - share), tenants=one.tenants - tenants) for one in others),
            Backend(running.application, running.adapter, share, tenants, stands_by),
        ]
    return tuple(sorted(backends, key=lambda one: -one.weight))
