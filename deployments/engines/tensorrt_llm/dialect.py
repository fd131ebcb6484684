"""How the front speaks with `trtllm-serve`."""

from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from deployments.engines.front.counts import load_in_flight
from deployments.engines.front.dialect import Conversation, InFlight, JsonObject, Tell, Upstream
from deployments.engines.load import EngineLoad
from deployments.engines.tensorrt_llm.chat import ChatConversation
from deployments.engines.tensorrt_llm.completion import CompletionConversation

PATHS = {"/v1/chat/completions": "/v1/chat/completions", "/v1/completions": "/v1/completions"}
"""Its other routes are left out: some change weights or free memory, and ask nobody who they are."""


class TensorRtLlmDialect:
    """
    Args:
        url: the server's address.
        has_tools: it was given a parser for tool calls.
    """

    def __init__(self, url: str, *, has_tools: bool) -> None:
        self._upstream = Upstream(url)
        self._has_tools = has_tools
        self._last: JsonObject = {}
        """The newest of the server's own statistics. Reading takes them away there, so nobody else may."""

    @property
    def upstream(self) -> Upstream:
        return self._upstream

    @property
    def paths(self) -> Mapping[str, str]:
        return PATHS

    @property
    def max_model_len(self) -> None:
        """None: its list of models does not say."""
        return

    @property
    def statement(self) -> None:
        """None: the settings say it."""
        return

    def conversation(self, path: str, body: JsonObject) -> Conversation:
        if path == "/v1/completions":
            return CompletionConversation(body)
        return ChatConversation(body, has_tools=self._has_tools)

    async def is_healthy(self, session: aiohttp.ClientSession) -> bool:
        async with session.get(f"{self._upstream.url}/health") as response:
            return response.status == 200

    async def prepare(self, session: aiohttp.ClientSession, tell: Tell) -> None:
        """Nothing: what is wrong with a model shows while the server loads it."""

    async def read_load(self, session: aiohttp.ClientSession, in_flight: InFlight) -> EngineLoad:
        async with session.get(f"{self._upstream.url}/metrics") as response:
            iterations = orjson.loads(await response.read())
        if isinstance(iterations, list) and iterations and isinstance(iterations[-1], dict):
            self._last = iterations[-1]
        load = load_in_flight(in_flight)
        if in_flight.num_requests == 0:  # it reports while it iterates, and so never its last request's end
            return load
        num_waiting = min(_count(self._last.get("numQueuedRequests")), in_flight.num_requests)
        return EngineLoad(
            num_running=in_flight.num_requests - num_waiting,
            num_waiting=num_waiting,
            kv_cache_usage_ratio=_kv_cache_usage(self._last.get("kvCacheStats")),
            num_prompt_tokens=load.num_prompt_tokens,
            num_completion_tokens=load.num_completion_tokens,
        )


def _kv_cache_usage(stats: Any) -> float | None:  # noqa: ANN401  a JSON value
    if not isinstance(stats, dict):
        return None
    num_blocks = _count(stats.get("maxNumBlocks"))
    return _count(stats.get("usedNumBlocks")) / num_blocks if num_blocks else None


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
