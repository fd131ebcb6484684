"""What a front counts, and how it tells the load in Prometheus' text format."""

from collections.abc import Iterator
from contextlib import contextmanager

from deployments.engines import prometheus_text
from deployments.engines.front.dialect import InFlight
from deployments.engines.load import EngineLoad

RUNNING = "enginehouse_front_requests_running"
WAITING = "enginehouse_front_requests_waiting"
KV_CACHE = "enginehouse_front_kv_cache_usage_ratio"
PROMPT_TOKENS = "enginehouse_front_prompt_tokens_total"
COMPLETION_TOKENS = "enginehouse_front_completion_tokens_total"


class Counts:
    """Requests in flight and the tokens of finished ones. Belongs to one event loop."""

    def __init__(self) -> None:
        self._num_requests = 0
        self._num_prompt_tokens = 0
        self._num_completion_tokens = 0

    @contextmanager
    def request(self) -> Iterator[None]:
        self._num_requests += 1
        try:
            yield
        finally:
            self._num_requests -= 1

    def usage(self, usage: object) -> None:
        """Counts the last `usage` of one answer; some servers send it with every event of a stream, growing."""
        if isinstance(usage, dict):
            self._num_prompt_tokens += _count(usage.get("prompt_tokens"))
            self._num_completion_tokens += _count(usage.get("completion_tokens"))

    def now(self) -> InFlight:
        return InFlight(self._num_requests, self._num_prompt_tokens, self._num_completion_tokens)


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def load_in_flight(in_flight: InFlight, max_running: int | None = None) -> EngineLoad:
    """The load of a server that tells nothing: what is in flight is taken for running, up to `max_running`."""
    num_requests = in_flight.num_requests
    num_running = num_requests if max_running is None else min(num_requests, max_running)
    return EngineLoad(
        num_running=num_running,
        num_waiting=num_requests - num_running,
        kv_cache_usage_ratio=None,
        num_prompt_tokens=in_flight.num_prompt_tokens,
        num_completion_tokens=in_flight.num_completion_tokens,
    )


def write_load(load: EngineLoad) -> str:
    """What a front's `/metrics` answers; `read_load` reads it."""
    samples = {
        RUNNING: load.num_running,
        WAITING: load.num_waiting,
        KV_CACHE: load.kv_cache_usage_ratio,
        PROMPT_TOKENS: load.num_prompt_tokens,
        COMPLETION_TOKENS: load.num_completion_tokens,
    }
    kinds = {name: "counter" if name.endswith("_total") else "gauge" for name in samples}
    return "".join(
        f"# TYPE {name} {kinds[name]}\n{name} {value}\n" for name, value in samples.items() if value is not None
    )


def read_load(metrics_text: str) -> EngineLoad:
    """
    Raises:
        MetricNotFound: the text is no front's.
    """
    values = prometheus_text.samples(metrics_text)
    return EngineLoad(
        num_running=prometheus_text.required(values, RUNNING),
        num_waiting=prometheus_text.required(values, WAITING),
        kv_cache_usage_ratio=values.get(KV_CACHE),
        num_prompt_tokens=prometheus_text.optional(values, PROMPT_TOKENS),
        num_completion_tokens=prometheus_text.optional(values, COMPLETION_TOKENS),
    )
