"""How Ollama is spoken with, beyond single requests: its health, its models and its load."""

import time
from collections.abc import Mapping

import aiohttp

from configs.engine import OllamaSettings
from deployments.engines.contract import EngineAddress
from deployments.engines.errors import EngineStartError
from deployments.engines.front.counts import load_in_flight
from deployments.engines.front.dialect import InFlight, JsonObject, Tell, Upstream
from deployments.engines.load import EngineLoad
from deployments.engines.ollama.conversation import OllamaConversation
from deployments.engines.ollama.models import OllamaModels, is_embedding_only, statement_of, trained_context
from deployments.engines.openai_endpoint import HEALTH_INTERVAL_S, bearer
from router.replicas.statement import Statement

PATHS = {path: path for path in ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")}


class OllamaDialect:
    """
    Raises:
        EngineStartError: the variable with the key is not set.
    """

    def __init__(self, settings: OllamaSettings, address: EngineAddress) -> None:
        self._settings = settings
        self._upstream = Upstream(
            url=settings.base_url or f"http://{address.host}:{address.port}",
            headers=bearer(settings.api_key_env),
            is_ours=settings.base_url is None,
        )
        self._found_max_model_len: int | None = None
        self._healthy_until = 0.0
        self.statement: Statement | None = None

    @property
    def upstream(self) -> Upstream:
        return self._upstream

    @property
    def paths(self) -> Mapping[str, str]:
        return PATHS

    @property
    def max_model_len(self) -> int | None:
        return self._settings.max_model_len or self._found_max_model_len

    def conversation(self, path: str, body: JsonObject) -> OllamaConversation:
        return OllamaConversation(path, body, self._settings.model_source)

    async def is_healthy(self, session: aiohttp.ClientSession) -> bool:
        """Whether it tells its version. Asked at most every 5 s as long as all is well: it logs every question."""
        now = time.monotonic()
        if now < self._healthy_until:
            return True
        async with session.get(f"{self._upstream.url}/api/version") as response:
            # A refused key counts as healthy until `prepare` says what is wrong.
            is_healthy = response.status == 200 or (not self._upstream.is_ours and response.status in (401, 403))
        if is_healthy:
            self._healthy_until = now + HEALTH_INTERVAL_S
        return is_healthy

    async def prepare(self, session: aiohttp.ClientSession, tell: Tell) -> None:
        """Sees that the model is there, downloads it if the settings allow, loads it, and looks at its context."""
        settings = self._settings
        models = OllamaModels(session, self._upstream.url, settings.model_source)
        shown = await models.show()
        if shown is None:
            if settings.pull == "never":
                raise EngineStartError(await self._missing(models))
            await models.pull(tell)
            shown = await models.show()
        if shown is None:
            raise EngineStartError(await self._missing(models))
        if settings.task == "generate" and is_embedding_only(shown):
            raise EngineStartError(f"{settings.model_source} only embeds; set task: embed for it")
        self.statement = statement_of(shown)
        tell(f"loading {settings.model_source} into memory")
        await models.load(settings.task)
        self._take_over(await models.loaded_context(), trained_context(shown))

    async def read_load(self, session: aiohttp.ClientSession, in_flight: InFlight) -> EngineLoad:  # noqa: ARG002
        """Ollama tells no counts. Where its number of slots is known, what is over it is taken for waiting."""
        return load_in_flight(in_flight, self._settings.max_num_seqs)

    async def _missing(self, models: OllamaModels) -> str:
        source = self._settings.model_source
        if self._settings.base_url is not None:
            remedy = f"Run `ollama pull {source}` there, or set pull: missing"
        else:
            where = self._settings.models_folder or "Ollama's folder of models"
            remedy = f"Run `ollama pull {source}` on this node, copy its files into {where}, or set pull: missing"
        return f"Ollama at {self._upstream.url} has no model {source!r}; it has: {await models.others()}. {remedy}"

    def _take_over(self, loaded: int | None, trained: int | None) -> None:
        """
        Raises:
            EngineStartError: requests get less context than `max_model_len` promises.
        """
        self._found_max_model_len = loaded
        wanted, most = self._settings.max_model_len, loaded or trained
        if wanted is None or most is None or wanted <= most:
            return
        remedy = "Lower max_model_len"
        if not self._upstream.is_ours and (trained is None or wanted <= trained):
            remedy += f", or start that Ollama with OLLAMA_CONTEXT_LENGTH={wanted}"
        raise EngineStartError(
            f"max_model_len is {wanted}, but Ollama gives {self._settings.model_source} a context of {most} tokens. "
            f"{remedy}"
        )
