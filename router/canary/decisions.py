"""Which canaries end now, and why; which may begin. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from configs.backends import CanaryRule
from configs.router import RouterUserConfig
from router.canary.backends import backend_of
from router.canary.tally import Sides
from router.canary.trial import Ending, Trial, base_of, in_force, shares_with
from router.canary.verdict import reason_to_abort


@dataclass(slots=True, frozen=True)
class Row:
    """What a router says of a model: its `name`, what stands for its backends in the file, and their weights now."""

    name: str
    base: str
    weights: Mapping[str, float]
    rule: CanaryRule
    applications: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name, "base": self.base, "weights": dict(self.weights), "rule": self.rule.model_dump(),
            "applications": list(self.applications),
        }  # fmt: skip


def row_of(config: RouterUserConfig, trials: Sequence[Trial], name: str) -> Row | None:
    """The row of a model, by its name or an alias; `weights` are without those of a canary that runs."""
    for model, route in config.models.items():
        if name in (model, *route.aliases):
            base = base_of(route)
            promoted, _ = in_force(trials, model, base)
            shares = shares_with([backend_of(share) for share in route.shares], promoted, None)
            weights = {share.label: share.weight for share in shares}
            return Row(model, base, weights, route.canary_rule, tuple(share.application for share in shares))
    return None


def read_row(document: Mapping[str, Any]) -> Row:
    fields = {**document, "rule": CanaryRule(**document["rule"]), "applications": tuple(document["applications"])}
    return Row(**fields)


def why_not(wanted: Trial, row: Row, running: Trial | None) -> str | None:
    """Why a canary cannot begin, if it cannot."""
    if not (wanted.percent or wanted.tenants or wanted.shadow_percent):
        return "it would get nothing: give a percentage, a tenant, or a percentage to copy"
    if running is not None and running.label != wanted.label:
        return f"{running.label!r} is tried on {row.name!r} already: promote or abort it first"
    if row.weights.get(wanted.label, 0.0) > 0:
        return f"{wanted.label!r} is a backend of {row.name!r} already, with a weight above 0"
    return None


def superseded(trials: Sequence[Trial], config: RouterUserConfig, now: float) -> Iterator[tuple[Trial, Ending]]:
    """Those that a newly deployed file has made an end of. `now` is Unix time, in seconds."""
    for trial in trials:
        route = config.models.get(trial.model)
        if trial.state not in ("running", "promoted"):
            continue
        if route is None:
            yield trial, Ending("superseded", "the deployed file has no such model any more", now)
        elif base_of(route) != trial.base:
            yield trial, Ending("superseded", "the deployed file has other backends for the model", now)


def ruled_out(trials: Sequence[Trial], tallies: Mapping[str, Sides], now: float) -> Iterator[tuple[Trial, Ending]]:
    """Those that do worse than their rule allows. `now` is Unix time, in seconds."""
    for trial in trials:
        if trial.state == "running":
            reason = reason_to_abort(trial.rule, tallies.get(trial.id, {}))
            if reason is not None:
                yield trial, Ending("aborted", f"by its rule: {reason}", now)
