"""What a replica tells the routers of its model, beside its address and its context."""

from dataclasses import dataclass

from configs.engine import EngineSettings
from configs.roles import RoleRefusal
from deployments.engines.fim_reading import read_fim
from deployments.engines.interview import Interview
from deployments.engines.roles_reading import read_refusals


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Each is empty where nobody says it."""

    fim: str = ""
    """How it fills in the middle, as `FimTemplate.encode` writes it."""
    refusals: tuple[RoleRefusal, ...] = ()
    """What its chat template does not take."""


async def read_facts(settings: EngineSettings, profile: str, interview: Interview) -> ModelFacts:
    fim = await read_fim(settings, profile, interview)
    refusals = await read_refusals(settings, profile, interview)
    return ModelFacts("" if fim is None else fim.encode(), refusals)
