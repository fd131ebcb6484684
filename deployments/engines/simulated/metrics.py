"""The simulated engine's `/metrics`, under vLLM's names."""

from deployments.engines.simulated.scheduler import Scheduler


def render(scheduler: Scheduler, model: str) -> str:
    """
    Prometheus' text format.

    Source:
        https://docs.vllm.ai/en/latest/usage/metrics.html; the client library adds `_total` to a counter's name.
    """
    counters = scheduler.counters
    gauges = {
        "vllm:num_requests_running": scheduler.num_running,
        "vllm:num_requests_waiting": scheduler.num_waiting,
        "vllm:kv_cache_usage_perc": scheduler.kv_cache_usage_ratio,
    }
    totals = {
        "vllm:prompt_tokens": counters.num_prompt_tokens,
        "vllm:generation_tokens": counters.num_completion_tokens,
        "vllm:prefix_cache_queries": counters.num_prefix_cache_queries,
        "vllm:prefix_cache_hits": counters.num_prefix_cache_hits,
        "vllm:request_success": counters.num_finished,
        "vllm:request_aborted": counters.num_aborted,
        "vllm:request_failed": counters.num_failed,
    }
    labels = f'{{engine="0",model_name="{model}"}}'
    lines: list[str] = []
    for name, value in gauges.items():
        lines += [f"# TYPE {name} gauge", f"{name}{labels} {float(value)}"]
    for name, value in totals.items():
        lines += [f"# TYPE {name}_total counter", f"{name}_total{labels} {float(value)}"]
    return "\n".join([*lines, ""])
