"""How busy an engine is."""

from dataclasses import dataclass


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
