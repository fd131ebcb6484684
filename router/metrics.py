"""Every metric, with its unit, labels and buckets, in one table. Ray exports them with `ray_` before their names."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

_LATENCY_S = (
    0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
    1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0,
)  # fmt: skip
"""vLLM's buckets of the time to first token, in seconds, with two more below 0.5 s for autocomplete's sake."""
_TOKEN_GAP_S = (
    0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.075, 0.1,
    0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip

_ENGINE_LABELS = ("model", "engine", "replica")


@dataclass(slots=True, frozen=True)
class Metric:
    """One metric. `unit` is what a value of it counts; `buckets` are upper bounds in that unit, for histograms only."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    description: str
    labels: tuple[str, ...] = _ENGINE_LABELS
    buckets: tuple[float, ...] = ()


REQUESTS = Metric(
    "enginehouse_requests", "counter", "requests",
    "Requests that were answered. `code` is `ok`, an error code, `client_disconnected`, or `superseded`.",
    labels=("model", "engine", "replica", "route", "code"),
)  # fmt: skip
RETRIES = Metric(
    "enginehouse_retries", "counter", "attempts",
    "Attempts that failed, after which another replica was tried, for the rest of a stream too; `reason` says why.",
    labels=("model", "engine", "replica", "reason"),
)  # fmt: skip
REFUSED_RETRIES = Metric(
    "enginehouse_refused_retries", "counter", "attempts",
    "Attempts that would have been retried or hedged, had the model's retry budget not been spent.",
    labels=("model", "engine", "replica"),
)  # fmt: skip
RESUMES = Metric(
    "enginehouse_resumes", "counter", "streams",
    "Streams that broke on `replica` and went on with another one from the text so far; `reason` says what happened.",
    labels=("model", "engine", "replica", "reason"),
)  # fmt: skip
HEDGES = Metric(
    "enginehouse_hedges", "counter", "attempts",
    "Second replicas that were asked because the first was slow to begin. `outcome` is `won` when `replica`, the "
    "second, gave the answer, else `lost`.",
    labels=("model", "engine", "replica", "outcome"),
)  # fmt: skip
PICKS = Metric(
    "enginehouse_picks", "counter", "picks",
    "Replicas that were picked for a request. `reason` is `affine` for the home of the prompt's beginning, `spilled` "
    "when that has too much to do, `least_busy` where there is nothing to reuse, `retry` after a failed attempt.",
    labels=("model", "engine", "replica", "reason"),
)  # fmt: skip
ROUTED = Metric(
    "enginehouse_routed_requests", "counter", "requests",
    "Requests for a name for which rules choose a model, by the model and by `rule`: that name, a slash and the rule.",
    labels=("model", "rule"),
)  # fmt: skip
TIME_TO_FIRST_TOKEN = Metric(
    "enginehouse_time_to_first_token_seconds", "histogram", "seconds",
    "From a request's arrival until the first event of its streamed answer went to the client.",
    buckets=_LATENCY_S,
)  # fmt: skip
INTER_TOKEN_LATENCY = Metric(
    "enginehouse_inter_token_latency_seconds", "histogram", "seconds",
    "Between two reads of a streamed answer from the engine; a read brings one token when the engine is not faster.",
    buckets=_TOKEN_GAP_S,
)  # fmt: skip
REQUEST_LATENCY = Metric(
    "enginehouse_request_seconds", "histogram", "seconds",
    "From a request's arrival until the last byte of its answer.",
    buckets=_LATENCY_S,
)  # fmt: skip
PROMPT_TOKENS = Metric("enginehouse_prompt_tokens", "counter", "tokens", "Prompt tokens, by the engine's own count.")
COMPLETION_TOKENS = Metric(
    "enginehouse_completion_tokens", "counter", "tokens", "Completion tokens, by the engine's own count."
)
AUDIO_SECONDS = Metric(
    "enginehouse_audio_seconds", "counter", "seconds",
    "Length of the recordings that were written down, by the engine's own word, where it says it.",
)  # fmt: skip
CACHE = Metric(
    "enginehouse_cache_requests", "counter", "requests",
    "Requests by what the response cache did for them: `hit`, `joined` another's generation, `miss` or `bypass`.",
    labels=("model", "engine", "replica", "outcome"),
)  # fmt: skip
MERGED_INPUTS = Metric(
    "enginehouse_merged_inputs", "histogram", "inputs",
    "Inputs of one call for embeddings, of one request or of several that came at the same time.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
)  # fmt: skip
RUNNING = Metric(
    "enginehouse_running_requests", "gauge", "requests", "Requests of this router that a replica is answering now.",
    labels=("model", "engine", "replica", "router"),
)  # fmt: skip
BREAKER_OPEN = Metric(
    "enginehouse_breaker_open", "gauge", "replicas",
    "1 from when this router found the replica lost, or failing again and again, until a request succeeds there, else "
    "0. Nobody tries a replica that nobody asks for.",
    labels=(*_ENGINE_LABELS, "router"),
)  # fmt: skip
BREAKER_OPENINGS = Metric(
    "enginehouse_breaker_openings", "counter", "openings",
    "Times that this router began to pass the replica over because it was lost, or failed again and again.",
    labels=(*_ENGINE_LABELS, "router"),
)  # fmt: skip
SUSPECTED = Metric(
    "enginehouse_replica_suspected", "gauge", "replicas",
    "1 while this router thinks that the replica may stand still, and asks it after the others, else 0.",
    labels=(*_ENGINE_LABELS, "router"),
)  # fmt: skip
SUSPICIONS = Metric(
    "enginehouse_replica_suspicions", "counter", "suspicions",
    "Times that this router found a reason to think so, and began to ask the replica after the others.",
    labels=(*_ENGINE_LABELS, "router"),
)  # fmt: skip
ENGINE_RUNNING = Metric(
    "enginehouse_engine_running_requests", "gauge", "requests", "Requests that the engine is executing, as it says."
)
ENGINE_WAITING = Metric(
    "enginehouse_engine_waiting_requests", "gauge", "requests", "Requests that wait inside the engine, as it says."
)
ENGINE_KV_CACHE = Metric(
    "enginehouse_engine_kv_cache_usage_ratio", "gauge", "ratio (0-1)", "Share of the engine's KV cache in use."
)
SWAPS = Metric(
    "enginehouse_swaps", "counter", "swaps",
    "Times that an engine that takes turns on a GPU woke or fell asleep; `state` is `awake` or `asleep`, its new one.",
    labels=(*_ENGINE_LABELS, "state"),
)  # fmt: skip
SWAP_TIME = Metric(
    "enginehouse_swap_seconds", "histogram", "seconds",
    "How long waking or falling asleep took, from when nothing ran any more; the first waking is a start.",
    labels=(*_ENGINE_LABELS, "state"), buckets=_LATENCY_S,
)  # fmt: skip
SWAP_STATE_TIME = Metric(
    "enginehouse_swap_state_seconds", "counter", "seconds",
    "Time that an engine that takes turns was `awake` or `asleep`, changes included; counted up to its last change.",
    labels=(*_ENGINE_LABELS, "state"),
)  # fmt: skip
AWAKE = Metric(
    "enginehouse_engine_awake", "gauge", "engines", "1 while an engine that takes turns on a GPU is awake, else 0."
)
STARTING = Metric(
    "enginehouse_engine_starting", "gauge", "engines",
    "1 while an engine that takes turns starts, and so keeps the GPU from the others of its group, else 0.",
)  # fmt: skip
SWAP_WAITING = Metric(
    "enginehouse_swap_waiting_requests", "gauge", "requests",
    "Requests that wait at a replica for their model's turn on a GPU.",
)  # fmt: skip
QUEUED = Metric(
    "enginehouse_queued_requests", "gauge", "requests",
    "Requests that wait in this router for a replica with room; lines of batches not counted.",
    labels=("model", "priority", "router"),
)  # fmt: skip
QUEUE_TIME = Metric(
    "enginehouse_queue_seconds", "histogram", "seconds",
    "How long requests waited in a router for a replica with room; those that found it at once are not in it.",
    labels=("model", "priority"), buckets=_LATENCY_S,
)  # fmt: skip
BACKEND_ATTEMPTS = Metric(
    "enginehouse_backend_attempts", "counter", "attempts",
    "Attempts of models with several backends, by the backend that was asked. `outcome` is `ok`, an error code, or "
    "`left` when the client did.",
    labels=(*_ENGINE_LABELS, "backend", "outcome"),
)  # fmt: skip
BACKEND_FIRST_TOKEN = Metric(
    "enginehouse_backend_first_token_seconds", "histogram", "seconds",
    "From handing a request to a backend until its first token, for models with several.",
    labels=(*_ENGINE_LABELS, "backend"), buckets=_LATENCY_S,
)  # fmt: skip
BACKEND_TOKEN_TIME = Metric(
    "enginehouse_backend_output_token_seconds", "histogram", "seconds",
    "Time per output token after the first, as the mean of one streamed answer, for models with several backends.",
    labels=(*_ENGINE_LABELS, "backend"), buckets=_TOKEN_GAP_S,
)  # fmt: skip
SHADOW_REQUESTS = Metric(
    "enginehouse_shadow_requests", "counter", "requests",
    "Requests that were to be copied to a shadow. `outcome` is `equal` or `different` for those that were compared, "
    "`dropped` when the shadow was busy or too many were under way, `uncompared` when the client has no whole answer.",
    labels=(*_ENGINE_LABELS, "backend", "outcome"),
)  # fmt: skip
SHADOW_DIFFERENCES = Metric(
    "enginehouse_shadow_differences", "counter", "differences",
    "What differed in copied requests: `error`, `length` or `tool_calls`.",
    labels=(*_ENGINE_LABELS, "backend", "kind"),
)  # fmt: skip
SHADOW_SECONDS = Metric(
    "enginehouse_shadow_request_seconds", "histogram", "seconds",
    "Duration of compared answers; `side` is `client` or `shadow`.",
    labels=(*_ENGINE_LABELS, "backend", "side"), buckets=_LATENCY_S,
)  # fmt: skip
BATCH_LINES = Metric(
    "enginehouse_batch_lines", "counter", "lines",
    "Lines of batches by outcome: `completed`, `failed`, `yielded` (aborted for a client) or `retried`; these two are "
    "asked again.",
    labels=("endpoint", "outcome"),
)  # fmt: skip
BATCHES = Metric(
    "enginehouse_batches", "counter", "batches",
    "Batches that came into a state: `validating`, `in_progress`, and at their end `completed`, `failed`, `expired` or "
    "`cancelled`.",
    labels=("state",),
)  # fmt: skip

METRICS = (
    REQUESTS, RETRIES, REFUSED_RETRIES, RESUMES, HEDGES, PICKS, ROUTED, TIME_TO_FIRST_TOKEN, INTER_TOKEN_LATENCY,
    REQUEST_LATENCY, PROMPT_TOKENS, COMPLETION_TOKENS, AUDIO_SECONDS, CACHE, MERGED_INPUTS, RUNNING, BREAKER_OPEN,
    BREAKER_OPENINGS, SUSPECTED, SUSPICIONS, ENGINE_RUNNING, ENGINE_WAITING, ENGINE_KV_CACHE, SWAPS, SWAP_TIME,
    SWAP_STATE_TIME, AWAKE, STARTING, SWAP_WAITING, QUEUED, QUEUE_TIME, BATCH_LINES, BATCHES, BACKEND_ATTEMPTS,
    BACKEND_FIRST_TOKEN, BACKEND_TOKEN_TIME, SHADOW_REQUESTS, SHADOW_DIFFERENCES, SHADOW_SECONDS,
)  # fmt: skip


class MetricSink(Protocol):
    """Where values go. Ray's metrics in a replica; a list in a test."""

    def record(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        """Add to a counter, observe in a histogram, or set a gauge."""

    def record_all(self, metric: Metric, values: Sequence[float], labels: dict[str, str]) -> None:
        """Observe several values in a histogram."""


class NoMetrics:
    """Records nothing."""

    def record(self, metric: Metric, value: float, labels: dict[str, str]) -> None: ...

    def record_all(self, metric: Metric, values: Sequence[float], labels: dict[str, str]) -> None: ...
