"""Settings of the engine `simulated`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from configs.engines.base import EngineSettings, Task


class SimulatedSettings(EngineSettings):
    """An engine without a model: vLLM-shaped answers, paced by a model of latency and of the KV cache."""

    engine: Literal["simulated"]
    """Our own simulated engine, for tests, load tests and capacity planning."""

    tasks: ClassVar[tuple[Task, ...]] = ("generate", "transcribe", "speak")

    max_model_len: Annotated[int, Field(ge=16, le=10_000_000)] = 32_768
    """Context of one request, in tokens: prompt and completion together."""

    max_num_seqs: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Requests that run at once; more wait."""

    prefill_base_ms: Annotated[float, Field(ge=0, le=600_000)] = 20.0
    """Time to the first token of an empty prompt, in milliseconds."""

    prefill_tokens_per_s: Annotated[float, Field(gt=0, le=1e12)] = 20_000.0
    """Prompt tokens, not found in the prefix cache, that are processed a second."""

    inter_token_ms: Annotated[float, Field(ge=0, le=600_000)] = 10.0
    """Time between two tokens of one stream, in milliseconds. 0 sends without a pause."""

    kv_cache_tokens: Annotated[int, Field(ge=16, le=10_000_000_000)] = 1_000_000
    """Tokens that the simulated KV cache holds; the least recently used blocks are dropped first."""

    kv_block_tokens: Annotated[int, Field(ge=1, le=4096)] = 16
    """Tokens of a KV-cache block: prompts share a prefix in whole blocks. vLLM's default is 16."""

    max_prefills: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Prompts that are read at once; more wait for their turn. Default: all of them, without slowing each other."""

    start_delay_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """Pretended time to load the weights, in seconds."""

    wake_delay_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """Pretended time to wake, in seconds, with `swap`."""

    gpu_file: str | None = None
    """Path of a file that stands for a GPU. An engine that is awake has all of its memory: a second one with the same
    file fails, as for want of memory. Each writes into it when it takes the memory and when it gives it back. Default:
    no GPU."""
