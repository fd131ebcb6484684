"""What a front must know of the server behind it."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import aiohttp

from deployments.engines.load import EngineLoad
from router.replicas.statement import Statement

JsonObject: TypeAlias = dict[str, Any]

Tell: TypeAlias = Callable[[str], None]
"""Called with how far a long piece of work has come, in a few words."""


class RequestRefused(Exception):
    """The server behind cannot do what the request asks for. `param` names the field, where it is one."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


@dataclass(frozen=True, slots=True)
class Upstream:
    """The server behind a front. `headers` go with every request to it; they may hold its key."""

    url: str
    """Scheme, host and port, and perhaps a path before the dialect's own paths; no slash at the end."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    tls: ssl.SSLContext | bool = True
    """For `https`: what to trust. True: the system's authorities."""
    connect_timeout_s: float = 5.0
    is_ours: bool = True
    """Whether the replica runs it, so that its health is worth a question at any time."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """What the front itself counts: requests in flight, and the tokens of all finished ones by the server's usage."""

    num_requests: int
    num_prompt_tokens: int
    num_completion_tokens: int


class Conversation(Protocol):
    """One request and its answer, between OpenAI's API and the server's dialect. No I/O."""

    @property
    def request(self) -> JsonObject:
        """The body for the server."""

    def answer(self, body: JsonObject) -> JsonObject:
        """A whole answer with status 200, in OpenAI's form."""

    def event(self, event: JsonObject) -> JsonObject | None:
        """One event of a stream, in OpenAI's form; None leaves it out."""

    def ending(self) -> JsonObject | None:
        """What is still to be said before a stream's end mark; None for nothing."""


class Dialect(Protocol):
    """How one server is spoken with."""

    @property
    def upstream(self) -> Upstream: ...

    @property
    def paths(self) -> Mapping[str, str]:
        """The paths that clients may POST to, each with its path at the server. All others are 404."""

    @property
    def max_model_len(self) -> int | None:
        """Context of one request, in tokens, once `prepare` has found it out; None where nobody says."""

    @property
    def statement(self) -> Statement | None:
        """What the server says of its model, once `prepare` has found it out; None where the engine's settings do."""

    def conversation(self, path: str, body: JsonObject) -> Conversation:
        """
        The request `body` to `path`, one of ours.

        Raises:
            RequestRefused: the server cannot do it.
        """

    async def is_healthy(self, session: aiohttp.ClientSession) -> bool:
        """Whether the server is ready to answer, now. Raises nothing of aiohttp's but what `Front` expects of it."""

    async def prepare(self, session: aiohttp.ClientSession, tell: Tell) -> None:
        """
        What has to be done once, when the server is healthy and before the first request.

        Raises:
            EngineStartError: the server cannot serve this model, and why.
        """

    async def read_load(self, session: aiohttp.ClientSession, in_flight: InFlight) -> EngineLoad:
        """How busy the server is; what it does not say is taken from what the front itself counts."""
