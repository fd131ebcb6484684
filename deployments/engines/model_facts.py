"""What a replica tells the routers of its model, beside its address and its context."""

from dataclasses import dataclass

from configs.engine import EngineSettings
from deployments.engines.fim_reading import read_fim
from deployments.engines.questions import Questions


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Each is empty where nobody says it."""

    fim: str = ""
    """How it fills in the middle, as `FimTemplate.encode` writes it."""


async def read_facts(settings: EngineSettings, profile: str, questions: Questions) -> ModelFacts:
    fim = await read_fim(settings, profile, questions)
    return ModelFacts(fim="" if fim is None else fim.encode())
