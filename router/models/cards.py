"""What `GET /v1/models` says of each name that can be asked for, and of the table that they are from."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from configs.routing import AutoRoute
from router.models.capabilities import capabilities_of, max_output_tokens
from router.models.table import Model
from router.replicas.registry import Replica
from router.replicas.statement import ABILITIES
from router.routing.auto import Auto
from router.state import RouterState


def model_cards(state: RouterState, model: Model, created_at: int) -> list[dict[str, Any]]:
    """One for the model's name and one for each alias. Of a model that sleeps, with what its last replicas said."""
    replicas = state.directory.of(*model.applications)
    known = state.directory.last_of(*model.applications)
    max_model_len = _smallest(known)
    said = {
        "max_output_tokens": max_output_tokens(model, max_model_len),
        "capabilities": capabilities_of(model, known),
        "task": known[0].task if known else None,
    }
    cards = (_card(name, model.name, created_at, max_model_len, replicas) for name in (model.name, *model.aliases))
    return [{**card, **said} for card in cards]


def auto_card(state: RouterState, auto: Auto, models: Sequence[Model], created_at: int) -> dict[str, Any]:
    """
    That of a name for which rules choose one of `models`, that of the last rule first.

    Clients cut their prompts to the context that is said here. It is that of models which rules may choose for a
    prompt of any length; those which only get prompts up to some length do not count.
    """
    directory = state.directory
    replicas = directory.of(*dict.fromkeys(name for model in models for name in model.applications))
    rules = auto.settings.rules
    unbounded = {rule.model for rule in rules if rule.when.max_prompt_tokens is None} | {*auto.settings.policy_models}
    counted = [model for model in models if not unbounded.isdisjoint((model.name, *model.aliases))]
    applications = dict.fromkeys(name for model in counted for name in model.applications)
    max_model_len = _smallest(directory.last_of(*applications))
    card = _card(auto.name, auto.name, created_at, max_model_len, replicas)
    default = directory.last_of(*models[0].applications)
    limits = [max_output_tokens(model, max_model_len) for model in counted]
    return {
        **card,
        "max_output_tokens": min((limit for limit in limits if limit is not None), default=None),
        "capabilities": auto_capabilities(state, auto, models),
        "task": default[0].task if default else None,
        "chooses_from": [model.name for model in models],
    }


_CONDITIONS = {"tools": "has_tools", "vision": "has_images", "fim": "is_fim", "structured_output": "wants_json"}
"""By which condition of a rule a request for something is told from others."""


def auto_capabilities(state: RouterState, auto: Auto, models: Sequence[Model]) -> list[str]:
    """
    What can be asked for where rules choose one of `models`, that of the last rule first: what each model can do that
    a request for it may get. Models that never had a replica do not count.
    """
    told = {
        name: capabilities_of(model, state.directory.last_of(*model.applications))
        for model in models
        for name in (model.name, *model.aliases)
    }
    base = next((capabilities for capabilities in told.values() if capabilities), [])
    found: list[str] = [name for name in ("chat", "completion", "embeddings", "rerank") if name in base]
    for ability in ABILITIES:
        asked = [told[name] for name in _models_for(auto.settings, _CONDITIONS.get(ability)) if told[name]]
        if asked and all(ability in capabilities for capabilities in asked):
            found.append(ability)
    return found


def _models_for(settings: AutoRoute, condition: str | None) -> Iterator[str]:
    """Those that a request may get for which the condition holds; any request where there is none."""
    yield from settings.policy_models
    for rule in settings.rules:
        if condition is None or getattr(rule.when, condition) is not False:
            yield rule.model
        if condition is not None and rule.when.given == (condition,) and getattr(rule.when, condition):
            return


def describe_table(state: RouterState) -> dict[str, Any]:
    """Whether the table in force is the one that was deployed last, and fits the engines; and why it is or does not."""
    refused = state.refused_table
    if refused is None:
        return {"status": "ok", "refused": None}
    told = {"at": int(refused.at), "reason": refused.reason}
    if refused.is_in_force:
        return {"status": "unfit", "refused": None, "unfit": told}
    return {"status": "refused", "refused": told}


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
        "ready_replicas": len(replicas),
    }


def max_model_len_of(state: RouterState, model: Model) -> int | None:
    """The context that all replicas of a model have, in tokens; None where none says."""
    return _smallest(state.directory.of(*model.applications))


def _smallest(replicas: Iterable[Replica]) -> int | None:
    """The context that every one of them has, in tokens; None where none says."""
    return min((replica.max_model_len for replica in replicas if replica.max_model_len), default=None)
