"""Which model is for what: one to work with, one that completes code, one for vectors, one that ranks. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from configs.editor_names import misread
from deployments.editors.offered import OfferedModel

Role = Literal["agent", "completion", "embedding", "reranking"]

AGENT_TOKENS = 32_768
"""Context that an agent needs, in tokens. Source: first requests of 18,000 (Copilot) to 29,000 tokens, before anything
was said."""

_MISSING: Mapping[Role, str] = {
    "agent": "no model generates text",
    "completion": "no model is known to complete code in the middle (FIM): completion while typing stays off",
    "embedding": "no model makes vectors: search by meaning stays off",
    "reranking": "no model ranks documents",
}


@dataclass(slots=True, frozen=True)
class Picks:
    """The model for each role, None where none fits."""

    agent: OfferedModel | None
    completion: OfferedModel | None
    embedding: OfferedModel | None
    reranking: OfferedModel | None

    def of(self, role: Role) -> OfferedModel | None:
        picked: OfferedModel | None = getattr(self, role)
        return picked

    def warnings(self, roles: Sequence[Role]) -> Iterator[str]:
        """What a user of these roles has to know, in sentences."""
        for role in roles:
            model = self.of(role)
            if model is None:
                yield _MISSING[role]
                continue
            if role == "agent":
                yield from _agent_warnings(model)
            yield from misread(model.name)


def pick(models: Sequence[OfferedModel]) -> Picks:
    """The best of `models` for each role; among equals the one that is listed first."""
    generating = [model for model in models if model.task == "generate"]
    completing = [model for model in generating if model.can("completion")]
    return Picks(
        agent=max(generating, key=_fitness_of_agent, default=None),
        completion=max(completing, key=_fitness_of_name, default=None),
        embedding=max((model for model in models if model.task == "embed"), key=_fitness_of_name, default=None),
        reranking=max((model for model in models if model.task == "rerank"), key=_fitness_of_name, default=None),
    )


def has_agent_context(model: OfferedModel) -> bool:
    return model.max_model_len >= AGENT_TOKENS


def calls_tools(model: OfferedModel) -> bool:
    """Whether to tell a client so. Where nobody knows, a model with the context for agents is thought to."""
    can = model.can("tools")
    return model.told_model_len >= AGENT_TOKENS if can is None else can


def _fitness_of_agent(model: OfferedModel) -> tuple[object, ...]:
    """Tools before context: without them an agent only talks."""
    can_tools = model.can("tools")
    is_known = {True: 2, None: 1, False: 0}[can_tools]
    context = min(model.max_model_len, AGENT_TOKENS)
    return (is_known, context, *_fitness_of_name(model), model.max_model_len)


def _fitness_of_name(model: OfferedModel) -> tuple[bool, bool]:
    """An alias outlives the model behind it, and editors keep names for long."""
    return (not any(misread(model.name)), model.is_alias)


def _agent_warnings(model: OfferedModel) -> Iterator[str]:
    if not has_agent_context(model):
        context = f"a context of {model.max_model_len} tokens" if model.max_model_len else "a context that is not known"
        yield (
            f"{model.name} has {context}; agents send 7,000 to 30,000 tokens before you have typed: "
            f"chat works, for agents use a model with {AGENT_TOKENS} or more"
        )
    if model.can("tools") is False:
        yield f"{model.name} does not call tools: agents can only talk with it"
