"""What happens to a model's requests when a replica is slow, overloaded or lost."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from configs.settings import Seconds, Settings, error_at

Milliseconds = Annotated[int, Field(ge=1, le=600_000)]
Ratio = Annotated[float, Field(ge=0, le=1)]


def _check_pauses(first_ms: int, max_ms: int) -> None:
    if max_ms < first_ms:
        raise error_at(("max_pause_ms",), f"must be at least first_pause_ms ({first_ms})")


class DeadlinePolicy(Settings):
    """How long each part of a request may take. What has passed is said in the error."""

    queue_s: Seconds | None = None
    """Longest wait for a replica, in seconds; where it is set and less than `queue.max_wait_s`, also for room at one.
    Then 503. Default: `requests.replica_wait_s`."""

    first_token_s: Seconds | None = None
    """Longest time from handing the request to a replica until its answer begins, in seconds. Then a stream asks
    another replica, as the retry budget allows; else 504. Default: `requests.first_byte_timeout_s`."""

    between_tokens_s: Seconds | None = None
    """Longest silence within a streamed answer, in seconds. Then it is resumed on another replica, or ends with an
    error event. Default: `requests.stall_timeout_s`."""

    total_s: Seconds | None = None
    """Longest time from the request's arrival to the end of its answer, in seconds. Then the engine is told to stop,
    and the answer is 504, or ends with an error event. A client may ask for less by the header `x-request-timeout-s`.
    Default: none."""

    @model_validator(mode="after")
    def _total_is_the_longest(self) -> Self:
        for name in ("queue_s", "first_token_s", "between_tokens_s"):
            part = getattr(self, name)
            if part is not None and self.total_s is not None and part > self.total_s:
                raise error_at((name,), f"must be at most total_s ({self.total_s:g})")
        return self


class RetryPolicy(Settings):
    """
    How many more attempts than requests there may be.

    The first time that a request loses its replica is free, for a replica that is gone does nothing for it. All else is
    paid from the budget: further losses, replicas that are overloaded or do not begin, and hedges. Once it is spent, a
    request for which nothing was free may still turn to one of the model's `fallbacks`.
    """

    max_ratio: Ratio = 0.2
    """Retries for each request of the window, 0 to 1."""

    min_retries: Annotated[int, Field(ge=0, le=10_000)] = 10
    """Retries in a window that are allowed however few requests there are."""

    window_s: Annotated[int, Field(ge=1, le=600)] = 10
    """The window, in seconds. Each router replica has its own."""

    first_pause_ms: Milliseconds = 100
    """Pause before replicas that have all failed are tried once more, in milliseconds. Each further one is twice as
    long, and all of them vary at random by a half. The last attempt is kept for a replica that is new."""

    max_pause_ms: Milliseconds = 2000
    """Longest of these pauses, in milliseconds."""

    @model_validator(mode="after")
    def _pauses_grow(self) -> Self:
        _check_pauses(self.first_pause_ms, self.max_pause_ms)
        return self


class BreakerPolicy(Settings):
    """When a replica is passed over, and when it is tried again."""

    max_failures: Annotated[int, Field(ge=1, le=1000)] = 5
    """Failures of an engine that can be reached, one after another without an answer between them, after which its
    replica is passed over. One that cannot be reached, or is lost within an answer, is passed over at once."""

    first_pause_ms: Milliseconds = 1000
    """How long it is passed over at first, in milliseconds. Then one request tries it: if that fails too, the next
    pause is twice as long. All pauses vary at random by a half."""

    max_pause_ms: Milliseconds = 15_000
    """Longest pause, in milliseconds; also how long others wait for the outcome of a try."""

    @model_validator(mode="after")
    def _pauses_grow(self) -> Self:
        _check_pauses(self.first_pause_ms, self.max_pause_ms)
        return self


class HedgingPolicy(Settings):
    """A second replica for streamed requests whose first is slow to begin. Whichever begins first gives the answer."""

    enabled: bool = False
    """Ask a second replica. It costs tokens that nobody reads, within the retry budget."""

    delay_ms: Milliseconds | None = None
    """After how many milliseconds. Default: `delay_factor` times what 95 in 100 of the model's last streams for
    requests of about the same size took to begin, and `min_delay_ms` at least. A delay of yours is the same for all
    sizes, and long prompts take longer than short ones with any replica."""

    delay_factor: Annotated[float, Field(ge=1, le=100)] = 2.0
    """How many times as long as 95 in 100 of the last streams a stream must take, where no `delay_ms` is set. With 1,
    one stream in twenty is asked twice while all is well, though even the slowest take less than twice as long."""

    min_delay_ms: Milliseconds = 100
    """Shortest such delay, in milliseconds. Nobody notices what begins sooner, and a busy machine is late by that."""


class ResumePolicy(Settings):
    """Streams whose engine is lost, and that go on with another one from the text so far."""

    enabled: bool = True
    """Resume where engine and request allow it. Otherwise such a stream ends with an error event."""

    max_resumes: Annotated[int, Field(ge=1, le=16)] = 2
    """How often one stream is resumed. A request that ends each engine that takes it must not end all of them."""

    max_kept_bytes: Annotated[int, Field(ge=1024, le=268_435_456)] = 1_048_576
    """What is kept of each stream for this, in bytes as the engine sent them: about 4000 tokens in the default. Longer
    streams are not resumed."""


class ReliabilityPolicy(Settings):
    """What happens to a model's requests when a replica is slow, overloaded or lost."""

    deadlines: DeadlinePolicy = DeadlinePolicy()
    """How long each part of a request may take."""

    retries: RetryPolicy = RetryPolicy()
    """How many more attempts than requests there may be. `requests.max_attempts` bounds those of one request."""

    circuit_breaker: BreakerPolicy = BreakerPolicy()
    """When a replica is passed over, and when it is tried again."""

    hedging: HedgingPolicy = HedgingPolicy()
    """A second replica for requests whose first is slow to begin. Off by default."""

    resume: ResumePolicy = ResumePolicy()
    """Streams that go on with another replica from the text so far."""
