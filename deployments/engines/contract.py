"""What an engine is to its replica: a command that starts an OpenAI server, and how to read that server's load."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import orjson

from configs.engine import Task
from deployments.engines.front.dialect import Dialect
from deployments.engines.load import EngineLoad
from deployments.engines.short_recording import form_of, silence
from deployments.engines.statements import EngineAnswer, Questions
from router.replicas.statement import Statement

Profile = Literal["llama_cpp", "vllm", "front"]
"""Which dialect of the OpenAI API a replica speaks; the router keeps what differs between them."""


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """Where an engine listens, and the key that it demands on every path except `/health`."""

    host: str
    port: int
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ChildCommand:
    """
    How to start an engine's process.

    `environment` is added to the parent's. Secrets travel in it and never in `argv`, which every user of the machine
    can read.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    inherited: tuple[int, ...] = ()
    """Open files that the process keeps: their locks are held until it is gone."""


@dataclass(frozen=True, slots=True)
class FirstRequest:
    """What is asked of an engine before the first client: what it sets up on first use must not cost that one."""

    path: str
    body: Mapping[str, object]
    recording: bytes = field(default=b"", repr=False)
    """A file that goes with it; then it is a form."""

    @property
    def content(self) -> tuple[bytes, str]:
        """Its bytes, and their content type."""
        return form_of(self.body, self.recording) if self.recording else (orjson.dumps(self.body), "application/json")


@dataclass(frozen=True, slots=True)
class SleepRequest:
    """One request to a server; `path` may have a query."""

    path: str
    body: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class SleepMode:
    """
    How a server gives the memory of its GPU back, and takes it again. It answers each request when it is done, or is
    asked `state` until it says so.
    """

    url: str
    """Scheme, host and port."""
    headers: Mapping[str, str] = field(repr=False)
    sleep: tuple[SleepRequest, ...]
    """POSTed in order, once nothing runs."""
    wake: tuple[SleepRequest, ...]
    state: str
    """The path that is asked whether it sleeps."""
    is_asleep: Callable[[dict[str, Any]], bool]
    """Reads the answer to that. Raises KeyError or TypeError where it is not of the expected form."""


class Engine(Protocol):
    """
    One kind of engine with its settings: decisions only, no process and no connection.

    What serves lives through these states, which `EngineRuntime` watches:

    1. starting and loading: `/health` is refused or not 200. A process that cannot serve says why on stderr, in its
       last 20 lines, and exits with a code other than 0.
    2. ready: `/health` answers 200 without a key; every other path answers 401 without `Authorization: Bearer SECRET`.
       It serves `first_request`, and `/metrics` in Prometheus' text format. A closed connection aborts its request.
    3. stopping: SIGTERM ends it within seconds, whatever is running. Draining is done before, by whoever stops it.

    It listens on exactly the address that it was given, never sharing the port (no SO_REUSEPORT), and fails when the
    port is taken.

    A process that is not like that, or a server that somebody else runs, stands behind a `Front` that is: then
    `dialect` says how the front speaks with it.
    """

    @property
    def profile(self) -> Profile: ...

    @property
    def max_model_len(self) -> int | None:
        """Context of one request, in tokens, prompt and completion together; None: only the engine knows."""

    @property
    def first_request(self) -> FirstRequest | None:
        """None where a request costs somebody's money or time."""

    @property
    def questions(self) -> Questions:
        """What to ask the ready engine, so that `statement` can be made of its answers."""

    def statement(self, answers: Mapping[str, EngineAnswer]) -> Statement:
        """
        What the model can do, by the settings, the engine's answers and the model's own files. What a server behind a
        front says is its dialect's to tell.
        """

    def command(self, address: EngineAddress) -> ChildCommand | None:
        """
        The process that will serve at `address`; None for a server that runs already. Pure: may be called again with
        another port.
        """

    def dialect(self, address: EngineAddress) -> Dialect | None:
        """
        How to speak with what serves at `address`, on loopback, behind a front; None: it needs no front.

        Raises:
            EngineStartError: a variable or a file that the settings name is missing.
        """

    def sleep_mode(self, address: EngineAddress) -> SleepMode | None:
        """
        How what serves at `address`, as in `command`, is put to sleep; None: by ending its process, and waking is a
        start. Asked only where the settings have `swap`.
        """

    def load(self, metrics_text: str) -> EngineLoad:
        """
        The counts in the text of `/metrics`, the front's where there is one. Pure.

        Raises:
            MetricNotFound: the text lacks a count; it is not this engine's.
        """


def cheapest_request(model: str, task: Task) -> FirstRequest:
    """The cheapest request that goes the whole way of a model with this task."""
    if task == "embed":
        return FirstRequest("/v1/embeddings", {"model": model, "input": "Hi"})
    if task == "rerank":
        return FirstRequest("/v1/rerank", {"model": model, "query": "Hi", "documents": ["Hi"]})
    if task == "transcribe":
        return FirstRequest("/v1/audio/transcriptions", {"model": model}, silence())
    if task == "speak":
        return FirstRequest("/v1/audio/speech", {"model": model, "input": "Hi", "voice": "alloy"})
    return FirstRequest("/v1/completions", {"model": model, "prompt": "Hi", "max_tokens": 1})
