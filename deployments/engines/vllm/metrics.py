"""vLLM's own metrics, which the simulated engine has as well."""

from deployments.engines import prometheus_text
from deployments.engines.load import EngineLoad


def read_load(metrics_text: str) -> EngineLoad:
    """
    Raises:
        MetricNotFound: the text is not vLLM's.
    """
    values = prometheus_text.samples(metrics_text)
    return EngineLoad(
        num_running=prometheus_text.required(values, "vllm:num_requests_running"),
        num_waiting=prometheus_text.required(values, "vllm:num_requests_waiting"),
        kv_cache_usage_ratio=values.get("vllm:kv_cache_usage_perc"),  # a ratio, whatever its name says
        num_prompt_tokens=prometheus_text.optional(values, "vllm:prompt_tokens_total"),
        num_completion_tokens=prometheus_text.optional(values, "vllm:generation_tokens_total"),
    )
