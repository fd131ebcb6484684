"""Settings of the engine `vllm`."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from configs.engines.base import EngineSettings, Task
from configs.settings import ModelName, Settings, error_at
from configs.swap import VllmSwapSettings


class SpeculativeSettings(Settings):
    """Speculative decoding: tokens are guessed cheaply and checked in one pass."""

    method: Annotated[str, Field(min_length=1)] = "ngram"
    """How tokens are guessed: `ngram` looks them up in the prompt; the others
    (`eagle3`, `mtp`, ...) are vLLM's own names."""

    model_source: str | None = None
    """Weights of the guessing model, for the methods that have one."""

    num_speculative_tokens: Annotated[int, Field(ge=1, le=64)] = 4
    """Tokens that are guessed at a time."""


class VllmSettings(EngineSettings):
    """vLLM's own server. It is installed in an environment of its own, or in this one (`enginehouse[vllm]`)."""

    engine: Literal["vllm"]
    """vLLM, 0.26 or later."""

    tasks: ClassVar[tuple[Task, ...]] = ("generate", "embed", "rerank", "transcribe")

    model_source: Annotated[str, Field(min_length=1)]
    """Where the weights are: the path of a model folder, or a model id of the Hugging Face hub."""

    swap: VllmSwapSettings | None = None
    """Take turns with other models on one GPU, by vLLM's sleep mode. Default: the model is always awake."""

    revision: str | None = None
    """Revision on the hub: a branch, a tag or a commit. Default: the newest."""

    tensor_parallel_size: Annotated[int, Field(ge=1, le=64)] = 1
    """GPUs of one node that share each layer. The replica reserves as many GPUs."""

    pipeline_parallel_size: Annotated[int, Field(ge=1, le=64)] = 1
    """Stages of consecutive layers, each on GPUs of its own."""

    distributed_executor_backend: Literal["mp", "ray"] | None = None
    """How vLLM runs its ranks: `mp` in processes of one node, on GPUs that the replica reserves; `ray` on GPUs of
    several nodes, which vLLM reserves itself, so that the replica reserves none. Default: `mp`."""

    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Precision of weights and activations. `auto` takes the checkpoint's."""

    quantization: Literal["awq", "gptq", "fp8"] | None = None
    """How weights are quantized. Default: what the checkpoint says."""

    max_model_len: Annotated[int, Field(ge=16, le=10_000_000)] | None = None
    """Context of one request, in tokens: prompt and completion together. Default: the model's own."""

    max_num_seqs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Requests that run at once; more wait. Default: vLLM's own, by the GPU."""

    max_num_batched_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Tokens of all requests in one step. Default: vLLM's own, by the GPU."""

    long_prefill_token_threshold: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Longest part of one prompt in one step, in tokens, so that a long prompt leaves room for short ones. Default:
    as much as fits the step."""

    scheduling_policy: Literal["fcfs", "priority"] | None = None
    """Who runs first: who came first, or whose request has the lowest `priority`, which the router then sets by the
    request's own: 0 interactive, 10 background, 20 batch. Default: who came first."""

    async_scheduling: bool | None = None
    """Prepare the next step while the GPU works on this one. Default: vLLM's own, on where it can."""

    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of the GPU's memory that vLLM takes, 0 to 1: weights, activations, and the KV cache with what is left."""

    kv_cache_dtype: Annotated[str, Field(min_length=1)] | None = None
    """Precision of the KV cache, by vLLM's name for it: `fp8` holds twice as many tokens. Default: the model's own."""

    enable_prefix_caching: bool = True
    """Keep the KV cache of prompts, for prompts that begin alike. With `task: transcribe`, where this is not set, vLLM
    decides: a Whisper cannot."""

    enable_chunked_prefill: bool = True
    """Split long prompts, so that they do not hold up everybody's next token. With `task: transcribe` as above."""

    enforce_eager: bool = False
    """Run without CUDA graphs: starts sooner and answers slower."""

    load_format: Annotated[str, Field(min_length=1)] = "auto"
    """How weights are read. `dummy` makes random ones, for load tests without a download."""

    speculative: SpeculativeSettings | None = None
    """Speculative decoding. Default: off."""

    lora_adapters: dict[ModelName, str] = Field(default_factory=dict)
    """LoRA adapters by name, each with the path of its folder or its id on the hub. In the model table, a route's
    `adapter` makes one of them a model of its own."""

    max_loras: Annotated[int, Field(ge=1, le=1024)] | None = None
    """LoRA adapters that one step may mix; each takes GPU memory. Default: vLLM's own, 1."""

    max_lora_rank: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Highest rank of the LoRA adapters: one of vLLM's powers of two. Default: vLLM's own, 16."""

    structured_outputs_backend: Annotated[str, Field(min_length=1)] | None = None
    """What holds answers to a JSON schema or a grammar, by vLLM's name for it (`xgrammar`, `guidance`, ...).
    Default: vLLM chooses by request."""

    tool_call_parser: str | None = None
    """What reads tool calls out of this model's answers, by vLLM's name for it. Default: tools are not offered."""

    reasoning_parser: str | None = None
    """What reads reasoning out of this model's answers, by vLLM's name for it. Default: it stays in the content."""

    chat_template: str | None = None
    """Path of a chat template. Default: the model's own."""

    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint. Only for checkpoints whose code you have read."""

    extra_args: tuple[str, ...] = ()
    """More arguments for `vllm serve`, as one would write them in a shell, each word an item."""

    @property
    def num_gpus(self) -> int:
        if self.runs_on_cpu or self.distributed_executor_backend == "ray":
            return 0
        return self.tensor_parallel_size * self.pipeline_parallel_size

    @property
    def runs_on_cpu(self) -> bool:
        """Whether it is a vLLM that was built for CPUs; vLLM itself goes by this variable."""
        return self.environment.get("VLLM_TARGET_DEVICE") == "cpu"

    @model_validator(mode="after")
    def _extra_args_are_extra(self) -> Self:
        for position, word in enumerate(self.extra_args):
            name = word.partition("=")[0]
            if name in OWN_VLLM_OPTIONS:
                raise error_at(("extra_args", position), f"{name} is Enginehouse's own; use {OWN_VLLM_OPTIONS[name]}")
        return self

    @model_validator(mode="after")
    def _a_swapped_model_has_one_gpu(self) -> Self:
        if self.swap is None:
            return self
        if self.runs_on_cpu:
            raise error_at(("swap",), "needs vLLM's sleep mode, which its build for CPUs has not")
        if self.num_gpus != 1:
            raise error_at(("swap",), "is for a model on one GPU of its replica's own node")
        return self


OWN_VLLM_OPTIONS = {
    "--host": "listener.host of the router",
    "--port": "listener.port of the router",
    "--api-key": "api_keys of the router",
    "--served-model-name": "model",
    "--model": "model_source",
    "--middleware": "the router",
    "--tensor-parallel-size": "tensor_parallel_size",
    "-tp": "tensor_parallel_size",
    "--pipeline-parallel-size": "pipeline_parallel_size",
    "-pp": "pipeline_parallel_size",
    "--distributed-executor-backend": "distributed_executor_backend",
    "--lora-modules": "lora_adapters",
}
"""Options of `vllm serve` that Enginehouse must know of, and the settings to use instead."""
