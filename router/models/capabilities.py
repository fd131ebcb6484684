"""What models can do: by what their engines say, and by the settings, which go before. Never by a model's name."""

from collections.abc import Mapping, Sequence

from router.fim.template import set_template
from router.models.table import Model
from router.replicas.registry import Replica
from router.replicas.statement import ABILITIES, Ability

_OF_TASKS: Mapping[str, tuple[str, ...]] = {
    "embed": ("embeddings",),
    "rerank": ("rerank",),
    "transcribe": ("transcription",),
    "speak": ("speech",),
}


def ability_of(model: Model, replica: Replica, ability: Ability) -> bool | None:
    """Whether the model can do it on this replica; None where nobody says."""
    if ability == "fim":
        return _fills_in(model, replica)
    setting = getattr(model.capabilities, ability)
    said = setting if setting is not None else getattr(replica.statement, ability)
    return None if said is None else bool(said)


def _fills_in(model: Model, replica: Replica) -> bool | None:
    """By the template of the settings, or of the model's tokeniser; else by what the engine says."""
    template = set_template(model.fim) or replica.template
    return replica.statement.fim if template.name == "unknown" else template.name != "none"


def can_be_forced(model: Model, replica: Replica) -> bool | None:
    """Whether it makes the tool call that a request demands; None where nobody says."""
    if model.capabilities.tools is not None or replica.statement.forced_tools is None:
        return ability_of(model, replica, "tools")
    return replica.statement.forced_tools


def capabilities_of(model: Model, replicas: Sequence[Replica]) -> list[str]:
    """
    What can be asked of a model wherever its requests go: what no replica denies, and one affirms.

    Empty where no replica is known.
    """
    if not replicas:
        return []
    other = _OF_TASKS.get(replicas[0].task)
    if other is not None:
        return [*other]
    can_chat = all(replica.statement.chat is not False for replica in replicas)
    said = (["chat"] if can_chat else []) + ["completion"]
    return said + [name for name in ABILITIES if _all_can(model, replicas, name)]


def _all_can(model: Model, replicas: Sequence[Replica], ability: Ability) -> bool:
    answers = {ability_of(model, replica, ability) for replica in replicas}
    return True in answers and False not in answers


def max_output_tokens(model: Model, max_model_len: int | None) -> int | None:
    """The longest answer, in tokens: what is set for the model, or all of the context. None where nobody says."""
    limit = model.limits.max_completion_tokens
    return min((count for count in (limit, max_model_len) if count is not None), default=None)
