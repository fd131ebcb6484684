"""What `GET /v1/models` says of each name that can be asked for, and of the table that they are from."""

from collections.abc import Iterable, Sequence
from typing import Any

from router.model_table import Model
from router.replicas import Replica
from router.routing.auto import Auto
from router.state import RouterState


def model_cards(state: RouterState, model: Model, created_at: int) -> list[dict[str, Any]]:
    """One for the model's name and one for each alias."""
    replicas = state.directory.of(*model.applications)
    max_model_len = _smallest(replicas)
    return [_card(name, model.name, created_at, max_model_len, replicas) for name in (model.name, *model.aliases)]


def auto_card(state: RouterState, auto: Auto, models: Sequence[Model], created_at: int) -> dict[str, Any]:
    """
    That of a name for which rules choose one of `models`, that of the last rule first.

    Clients cut their prompts to the context that is said here. It is that of models which rules may choose for a
    prompt of any length; those which only get prompts up to some length do not count.
    """
    replicas = state.directory.of(*dict.fromkeys(name for model in models for name in model.applications))
    rules = auto.settings.rules
    unbounded = {rule.model for rule in rules if rule.when.max_prompt_tokens is None} | {*auto.settings.policy_models}
    counted = [model for model in models if not unbounded.isdisjoint((model.name, *model.aliases))]
    applications = dict.fromkeys(name for model in counted for name in model.applications)
    card = _card(auto.name, auto.name, created_at, _smallest(state.directory.of(*applications)), replicas)
    default = state.directory.of(*models[0].applications)
    return {**card, "task": default[0].task if default else None, "chooses_from": [model.name for model in models]}


def describe_table(state: RouterState) -> dict[str, Any]:
    """Whether the table in force is the one that was deployed last, and why it is not."""
    refused = state.refused_table
    if refused is None:
        return {"status": "ok", "refused": None}
    return {"status": "refused", "refused": {"at": int(refused.at), "reason": refused.reason}}


def _card(
    name: str, root: str, created_at: int, max_model_len: int | None, replicas: Sequence[Replica]
) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": created_at,
        "owned_by": "enginehouse",
        "root": root,
        # Clients read the context's length under one or the other name.
        "max_model_len": max_model_len,
        "context_length": max_model_len,
        "task": replicas[0].task if replicas else None,
        "ready_replicas": len(replicas),
    }


def max_model_len_of(state: RouterState, model: Model) -> int | None:
    """The context that all replicas of a model have, in tokens; None where none says."""
    return _smallest(state.directory.of(*model.applications))


def _smallest(replicas: Iterable[Replica]) -> int | None:
    """The context that every one of them has, in tokens; None where none says."""
    return min((replica.max_model_len for replica in replicas if replica.max_model_len), default=None)
