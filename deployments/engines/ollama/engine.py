"""Ollama, started by the replica or running elsewhere, behind a front: it asks nobody for a key."""

from collections.abc import Mapping

from configs.engine import OllamaSettings
from deployments.engines.configured import ConfiguredEngine
from deployments.engines.contract import (
    ChildCommand,
    EngineAddress,
    Profile,
    SleepMode,
    SleepRequest,
)
from deployments.engines.front.counts import read_load
from deployments.engines.load import EngineLoad
from deployments.engines.ollama.dialect import OllamaDialect
from deployments.engines.ollama.models import with_tag
from deployments.engines.openai_endpoint import bearer
from deployments.engines.statements import EngineAnswer
from router.replicas.statement import NOTHING_SAID, Statement


class OllamaEngine(ConfiguredEngine[OllamaSettings]):
    @property
    def profile(self) -> Profile:
        return "front"

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

    def sleep_mode(self, address: EngineAddress) -> SleepMode:
        settings = self._settings
        name = with_tag(settings.model_source)
        load: dict[str, object] = {"model": name, "keep_alive": -1}
        path = "/api/generate" if settings.task == "generate" else "/api/embed"
        return SleepMode(
            url=settings.base_url or f"http://{address.host}:{address.port}",
            headers=bearer(settings.api_key_env),
            sleep=(SleepRequest("/api/generate", {"model": name, "keep_alive": 0, "stream": False}),),
            wake=(SleepRequest(path, load | ({"stream": False} if settings.task == "generate" else {"input": "Hi"})),),
            state="/api/ps",
            is_asleep=lambda answer: all(name not in (one.get("model"), one.get("name")) for one in answer["models"]),
        )

    def load(self, metrics_text: str) -> EngineLoad:
        return read_load(metrics_text)
