"""Ollama, started by the replica or running elsewhere, behind a front: it asks nobody for a key."""

from collections.abc import Mapping

from configs.engine import OllamaSettings
from deployments.engines.contract import ChildCommand, EngineAddress, FirstRequest, Profile, cheapest_request
from deployments.engines.front.counts import read_load
from deployments.engines.load import EngineLoad
from deployments.engines.ollama_dialect import OllamaDialect
from deployments.engines.statements import EngineAnswer, Questions
from router.capabilities import NOTHING_SAID, Statement


class OllamaEngine:
    def __init__(self, settings: OllamaSettings) -> None:
        self._settings = settings

    @property
    def profile(self) -> Profile:
        return "front"

    @property
    def max_model_len(self) -> int | None:
        return self._settings.max_model_len

    @property
    def first_request(self) -> FirstRequest:
        return cheapest_request(self._settings.model, self._settings.task)

    @property
    def questions(self) -> Questions:
        return {}

    def statement(self, answers: Mapping[str, EngineAnswer]) -> Statement:  # noqa: ARG002  the contract's
        """Its dialect tells."""
        return NOTHING_SAID

    def command(self, address: EngineAddress) -> ChildCommand | None:
        """
        Source:
            https://github.com/ollama/ollama/blob/main/envconfig/config.go
        """
        settings = self._settings
        if settings.base_url is not None:
            return None
        environment = {
            "OLLAMA_HOST": f"{address.host}:{address.port}",
            "OLLAMA_KEEP_ALIVE": "-1",  # the model is all that this Ollama is for
            "OLLAMA_MAX_LOADED_MODELS": "1",
            "OLLAMA_NOPRUNE": "1",  # at its start it would remove what another replica is downloading to the folder
            "OLLAMA_NO_CLOUD": "1",  # models whose names end with `-cloud` would send prompts to ollama.com
        }
        if settings.models_folder is not None:
            environment["OLLAMA_MODELS"] = settings.models_folder
        if settings.max_model_len is not None:
            environment["OLLAMA_CONTEXT_LENGTH"] = str(settings.max_model_len)
        if settings.max_num_seqs is not None:
            environment["OLLAMA_NUM_PARALLEL"] = str(settings.max_num_seqs)
        return ChildCommand((settings.executable, "serve"), {**environment, **settings.environment})

    def dialect(self, address: EngineAddress) -> OllamaDialect:
        return OllamaDialect(self._settings, address)

    def load(self, metrics_text: str) -> EngineLoad:
        return read_load(metrics_text)
