"""Any server that speaks OpenAI's API and that somebody else runs, behind a front of ours."""

import os
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import orjson

from configs.engine import EndpointSettings, EndpointTlsSettings
from deployments.engines.configured import ConfiguredEngine
from deployments.engines.contract import EngineAddress, Profile
from deployments.engines.errors import EngineStartError
from deployments.engines.front.counts import load_in_flight, read_load
from deployments.engines.front.dialect import InFlight, JsonObject, Tell, Upstream
from deployments.engines.front.plain import PlainConversation
from deployments.engines.load import EngineLoad
from deployments.engines.statements import EngineAnswer
from router.fitting.token_limits import requested_limit, with_limit
from router.replicas.statement import ABILITIES, NOTHING_SAID, Statement

HEALTH_INTERVAL_S = 5.0
"""How long a good answer to the question for its health counts, in seconds: the server is not ours to ask so often."""

BYTES_PER_TOKEN = 3
"""Of a request in code, by the tokenisers of today's models, at the least. Nobody counts here."""

PATHS = {
    "/v1/chat/completions": "/chat/completions",
    "/v1/completions": "/completions",
    "/v1/embeddings": "/embeddings",
    "/v1/rerank": "/rerank",
    "/v1/audio/transcriptions": "/audio/transcriptions",
    "/v1/audio/translations": "/audio/translations",
    "/v1/audio/speech": "/audio/speech",
}


class OpenAiEndpointEngine(ConfiguredEngine[EndpointSettings]):
    @property
    def profile(self) -> Profile:
        return "front"

    @property
    def first_request(self) -> None:
        """None: it may cost money, and may not have the route."""
        return

    def statement(self, answers: Mapping[str, EngineAnswer]) -> Statement:  # noqa: ARG002  the contract's
        """Its dialect tells."""
        return NOTHING_SAID

    def command(self, address: EngineAddress) -> None:  # noqa: ARG002  nothing is started
        return None

    def dialect(self, address: EngineAddress) -> "OpenAiEndpointDialect":  # noqa: ARG002  nothing of ours listens
        return OpenAiEndpointDialect(self._settings)

    def sleep_mode(self, address: EngineAddress) -> None:
        """Never asked: its settings have no `swap`."""

    def load(self, metrics_text: str) -> EngineLoad:
        return read_load(metrics_text)


class OpenAiEndpointDialect:
    """
    Raises:
        EngineStartError: the variable with the key is not set, or a certificate cannot be read.
    """

    def __init__(self, settings: EndpointSettings) -> None:
        self._settings = settings
        self._source = settings.model_source or settings.model
        self._upstream = Upstream(
            url=settings.base_url,
            headers=bearer(settings.api_key_env),
            tls=_tls(settings.tls) if settings.base_url.startswith("https://") else True,
            connect_timeout_s=settings.connect_timeout_s,
            is_ours=False,
        )
        self._found_max_model_len: int | None = None
        self.statement: Statement | None = None
        self._healthy_until = 0.0

    @property
    def upstream(self) -> Upstream:
        return self._upstream

    @property
    def paths(self) -> Mapping[str, str]:
        return PATHS

    @property
    def max_model_len(self) -> int | None:
        return self._settings.max_model_len or self._found_max_model_len

    def conversation(self, path: str, body: JsonObject) -> PlainConversation:  # noqa: ARG002  the same for all
        return PlainConversation(within_context(body, self.max_model_len), self._source)

    async def is_healthy(self, session: aiohttp.ClientSession) -> bool:
        """
        Whether it answers its health path; a refused key counts as healthy until `prepare` says what is wrong.

        Asked at most every 5 s as long as all is well.
        """
        now = time.monotonic()
        if now < self._healthy_until:
            return True
        async with session.get(self._probe()) as response:
            is_healthy = response.status < 500
        if is_healthy:
            self._healthy_until = now + HEALTH_INTERVAL_S
        return is_healthy

    async def prepare(self, session: aiohttp.ClientSession, tell: Tell) -> None:
        tell("asking for its models")
        async with session.get(self._probe()) as response:
            status, body = response.status, await response.read()
        if status in (401, 403):
            raise EngineStartError(f"{self._probe()} refused the key{self._key_name()}: status {status}")
        if self._settings.health_path is not None:
            if status != 200:
                raise EngineStartError(f"{self._probe()} answered with status {status}; is health_path right?")
            return
        if status != 200:
            raise EngineStartError(
                f"{self._probe()} answered with status {status} instead of a list of models; is base_url right? "
                "A server without that list needs a health_path"
            )
        self._take_over(model_cards(body))

    async def read_load(self, session: aiohttp.ClientSession, in_flight: InFlight) -> EngineLoad:  # noqa: ARG002
        return load_in_flight(in_flight)

    def _probe(self) -> str:
        if self._settings.health_path is None:
            return f"{self._settings.base_url}/models"
        parts = urlsplit(self._settings.base_url)
        return f"{parts.scheme}://{parts.netloc}{self._settings.health_path}"

    def _key_name(self) -> str:
        name = self._settings.api_key_env
        return f" in {name}" if name else ": there is none; name the variable that holds it in api_key_env"

    def _take_over(self, cards: list[JsonObject] | None) -> None:
        """
        Raises:
            EngineStartError: the list of models lacks ours.
        """
        if cards is None:
            raise EngineStartError(f"{self._probe()} did not answer with a list of models; is base_url right?")
        names = [str(card.get("id")) for card in cards]
        if self._source not in names:
            shown = ", ".join(names[:10]) or "none"
            raise EngineStartError(f"{self._settings.base_url} has no model {self._source!r}; it has: {shown}")
        card = cards[names.index(self._source)]
        lengths = [card.get(name) for name in ("max_model_len", "context_length", "context_window")]
        self._found_max_model_len = next((length for length in lengths if isinstance(length, int)), None)
        self.statement = statement_of(card)


def within_context(body: JsonObject, max_model_len: int | None) -> JsonObject:
    """
    With a limit of completion tokens that the prompt leaves room for, by an estimate: editors ask for 32,000 tokens of
    any model, and most servers refuse what is more than the context has left. Where it has none left, they say so.
    """
    limit = requested_limit(body)
    if limit is None or max_model_len is None:
        return body
    num_prompt_tokens = len(orjson.dumps(body)) // BYTES_PER_TOKEN
    left = max_model_len - num_prompt_tokens
    return body if left < 1 or limit <= left else with_limit(body, num_prompt_tokens, max_model_len)


def bearer(api_key_env: str | None) -> dict[str, str]:
    """
    The header with the key in a variable; none where no variable is named.

    Raises:
        EngineStartError: the variable is not set.
    """
    if api_key_env is None:
        return {}
    key = os.environ.get(api_key_env, "").strip()
    if not key:
        raise EngineStartError(f"the environment variable {api_key_env} is not set where the replica runs")
    return {"Authorization": f"Bearer {key}"}


def model_cards(body: bytes) -> list[JsonObject] | None:
    """The entries of an OpenAI list of models; None where it is none."""
    try:
        data = orjson.loads(body)["data"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return [card for card in data if isinstance(card, dict)] if isinstance(data, list) else None


def statement_of(card: JsonObject) -> Statement | None:
    """
    By the entry in a list of models, where that is another house's: a list of `capabilities` in our words. What such a
    list leaves out may be denied there or not be known, and only that house can tell: it is asked. `chat` is
    in it unless it is denied.
    """
    told = card.get("capabilities")
    if not isinstance(told, list) or "completion" not in told:
        return None
    return Statement.of({"chat": "chat" in told, **{name: True for name in ABILITIES if name in told}})


def _tls(settings: EndpointTlsSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.client_certificate_file is not None:
            context.load_cert_chain(settings.client_certificate_file, settings.client_key_file)
    except (OSError, ssl.SSLError) as error:
        files = (settings.ca_file, settings.client_certificate_file, settings.client_key_file)
        named = ", ".join(name for name in files if name is not None)
        missing = [name for name in files if name is not None and not Path(name).is_file()]
        reason = f"there is no file {missing[0]}" if missing else str(error)
        raise EngineStartError(f"the certificates of tls ({named}) cannot be used: {reason}") from error
    if not settings.is_verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
