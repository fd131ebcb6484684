"""What an engine is to its replica: a command that starts an OpenAI server, and how to read that server's load."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Profile = Literal["llama_cpp", "vllm"]
"""Which dialect of the OpenAI API an engine speaks; the router keeps what differs between them."""


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


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """One reading of an engine's own counts. The totals only grow while the process lives."""

    num_running: int
    num_waiting: int
    kv_cache_usage_ratio: float | None
    """0 to 1; None where the engine does not say."""
    num_prompt_tokens: int | None = None
    num_completion_tokens: int | None = None

    @property
    def is_idle(self) -> bool:
        return self.num_running == 0 and self.num_waiting == 0


class Engine(Protocol):
    """
    One kind of engine with its settings: decisions only, no process and no connection.

    Its process, started by `command`, lives through these states, which `EngineRuntime` watches:

    1. starting and loading: `/health` is refused or not 200. A process that cannot serve says why on stderr, in its
       last 20 lines, and exits with a code other than 0.
    2. ready: `/health` answers 200 without a key; every other path answers 401 without `Authorization: Bearer SECRET`.
       It serves `/v1/completions` for the settings' `model`, and `/metrics` in Prometheus' text format.
       A closed connection aborts its request.
    3. stopping: SIGTERM ends it within seconds, whatever is running. Draining is done before, by whoever stops it.

    It listens on exactly the address that it was given, never sharing the port (no SO_REUSEPORT), and fails when the
    port is taken.
    """

    @property
    def profile(self) -> Profile: ...

    @property
    def max_model_len(self) -> int | None:
        """Context of one request, in tokens, prompt and completion together; None: only the engine knows."""

    def command(self, address: EngineAddress) -> ChildCommand:
        """The process that will serve at `address`. Pure: may be called again with another port."""

    def load(self, metrics_text: str) -> EngineLoad:
        """
        The counts in the text of the engine's `/metrics`. Pure.

        Raises:
            MetricNotFound: the text lacks a count; it is not this engine's.
        """


class EngineError(Exception):
    """
    Base of what can go wrong with an engine's process.

    ├─ EngineStartError     it never became ready
    ├─ EngineDied           it was ready and is gone, or silent for too long
    └─ EngineUnresponsive   one question went unanswered; it may still recover
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class EngineStartError(EngineError):
    """The engine never became ready. The message has the exit code or signal and the last lines that it printed."""


class EngineDied(EngineError):
    """A ready engine is gone or silent. The message has the exit code or signal and the last lines that it printed."""


class EngineUnresponsive(EngineError):
    """The engine lives but did not answer one question in time."""
