"""
The models of an Ollama: which there are, how one is downloaded, and what loading it gave.

Source:
    https://github.com/ollama/ollama/blob/main/docs/api.md and server/routes.go, where the page is silent.
"""

import aiohttp
import orjson

from configs.engine import Task
from deployments.engines.errors import EngineStartError
from deployments.engines.front.dialect import JsonObject, Tell
from deployments.engines.front.wire import read_error
from router.replicas.statement import Statement

NO_LIMIT = aiohttp.ClientTimeout(total=None)
"""For downloads and for loading: the replica's `start_timeout_s` bounds them."""

_MAX_NAMES = 10


class OllamaModels:
    """
    One model of one Ollama.

    Every method raises aiohttp's errors when the server does not answer.

    Args:
        url: of the server, without a path.
        name: of the model; without a tag it means `:latest`, as in Ollama's own commands.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, name: str) -> None:
        self._session = session
        self._url = url
        self._name = with_tag(name)

    async def show(self) -> JsonObject | None:
        """What Ollama says of the model; None when it has none of that name."""
        status, body = await self._ask("/api/show", {"model": self._name})
        if status == 404:
            return None
        if status in (401, 403):
            raise EngineStartError(
                f"Ollama at {self._url} refused the key of api_key_env, or wants one: status {status}"
            )
        if status != 200:
            raise EngineStartError(f"Ollama at {self._url} does not tell of {self._name}: {_reason(status, body)}")
        document = _object(body)
        if document is None:
            raise EngineStartError(f"{self._url} does not answer as Ollama does; is base_url right?")
        return document

    async def others(self) -> str:
        """The names of what Ollama has instead, in one line."""
        async with self._session.get(f"{self._url}/api/tags") as response:
            models = (_object(await response.read()) or {}).get("models") or []
        names = [str(model.get("model") or model.get("name")) for model in models if isinstance(model, dict)]
        return ", ".join(names[:_MAX_NAMES]) or "none"

    async def pull(self, tell: Tell) -> None:
        """
        Downloads the model; tells how many percent of all that is known to come.

        Raises:
            EngineStartError: it cannot be downloaded, and why.
        """
        progress = _PullProgress(self._name)
        tell(progress.text)
        async with self._session.post(
            f"{self._url}/api/pull", json={"model": self._name}, timeout=NO_LIMIT
        ) as response:
            if response.status != 200:
                raise self._pull_failed(_reason(response.status, await response.read()))
            async for line in response.content:
                state = _object(line) or {}
                if "error" in state:
                    raise self._pull_failed(str(state["error"]))
                if progress.has_changed(state):
                    tell(progress.text)
        if not progress.is_done:
            raise self._pull_failed("it ended before it was done")

    async def load(self, task: Task) -> None:
        """
        Returns when the model is in memory. Ollama has no request for that alone: for the one task it is a generation
        without a prompt, for the other an embedding.

        Raises:
            EngineStartError: it cannot be loaded, and why.
        """
        path, body = ("/api/embed", {"input": "Hi"}) if task == "embed" else ("/api/generate", {"stream": False})
        status, answer = await self._ask(path, {"model": self._name, **body}, NO_LIMIT)
        if status != 200:
            raise EngineStartError(f"Ollama cannot load {self._name}: {_reason(status, answer)}")

    async def loaded_context(self) -> int | None:
        """The context, in tokens, that the loaded model really has. Ollama says so from 0.11 on."""
        async with self._session.get(f"{self._url}/api/ps") as response:
            models = (_object(await response.read()) or {}).get("models") or []
        for model in models:
            if self._name in (model.get("model"), model.get("name")):
                return _positive(model.get("context_length"))
        return None

    async def _ask(self, path: str, body: JsonObject, limit: aiohttp.ClientTimeout | None = None) -> tuple[int, bytes]:
        async with self._session.post(self._url + path, json=body, timeout=limit or self._session.timeout) as response:
            return response.status, await response.read()

    def _pull_failed(self, reason: str) -> EngineStartError:
        return EngineStartError(
            f"Ollama cannot download {self._name}: {reason}. Without internet, copy the model's files into Ollama's "
            "folder of models on this node (models_folder) and set pull: never"
        )


class _PullProgress:
    """How far a download has come, from the lines that `/api/pull` sends: one a layer and state."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._layers: dict[str, tuple[int, int]] = {}
        self._percent = 0
        self._step = ""
        self.is_done = False

    @property
    def text(self) -> str:
        if self._step:
            return f"pulling {self._name}, {self._step}"
        return f"pulling {self._name}, {self._percent} %"

    def has_changed(self, state: JsonObject) -> bool:
        """Takes one line; whether `text` is another one now."""
        before = self.text
        status = str(state.get("status", ""))
        digest, total = state.get("digest"), _positive(state.get("total"))
        if isinstance(digest, str) and total is not None:
            self._layers[digest] = (_positive(state.get("completed")) or 0, total)
            done, expected = (sum(column) for column in zip(*self._layers.values(), strict=True))
            # Layers become known one by one, the largest first: never tell less than before.
            self._percent = max(self._percent, 100 * done // expected)
            self._step = ""
        elif status.startswith(("verifying", "writing")):
            self._step = status
        self.is_done = self.is_done or status == "success"
        return self.text != before


def with_tag(name: str) -> str:
    """A colon before the last slash belongs to a registry's port."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def trained_context(shown: JsonObject) -> int | None:
    """The context that the model was trained for, in tokens, by an answer of `/api/show`. What it gets may be less."""
    info = shown.get("model_info")
    if not isinstance(info, dict):
        return None
    return next((_positive(value) for key, value in info.items() if key.endswith(".context_length")), None)


def is_embedding_only(shown: JsonObject) -> bool:
    """Ollama tells capabilities from 0.6.4 on; before, a model counts as one that generates."""
    capabilities = shown.get("capabilities")
    return isinstance(capabilities, list) and "embedding" in capabilities and "completion" not in capabilities


def statement_of(shown: JsonObject) -> Statement:
    """
    By an answer of `/api/show`. Before 0.6.4 Ollama told no capabilities, and then nothing is known of them.

    Its OpenAI API fills in no middle of a text whose template has no place for a suffix.
    """
    told, details, info = shown.get("capabilities"), _object_at(shown, "details"), _object_at(shown, "model_info")
    can = {str(name) for name in told} if isinstance(told, list) else None
    count = info.get("general.parameter_count")
    return Statement(
        chat=None if can is None else "completion" in can,
        tools=None if can is None else "tools" in can,
        forced_tools=False,  # it does not read `tool_choice`
        vision=None if can is None else "vision" in can,
        fim=None if can is None else "insert" in can,
        reasoning=None if can is None else "thinking" in can,
        structured_output=True,
        audio=False,  # its OpenAI API takes texts and images
        transcription=False,
        speech=False,
        architecture=_text(info.get("general.architecture")),
        num_parameters=_positive(count),
        quantization=_text(details.get("quantization_level")),
        file_format=_text(details.get("format")),
    )


def _object_at(owner: JsonObject, name: str) -> JsonObject:
    value = owner.get(name)
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _positive(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _object(body: bytes) -> JsonObject | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _reason(status: int, body: bytes) -> str:
    return str(read_error(status, body)["error"]["message"])
