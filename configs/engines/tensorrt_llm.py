"""Settings of the engine `tensorrt_llm`."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from configs.engines.base import EngineSettings
from configs.engines.tensorrt_llm_fields import faults
from configs.settings import Seconds, error_at


class TensorRtLlmSettings(EngineSettings):
    """TensorRT-LLM's own server, `trtllm-serve`, in an image or environment of its own."""

    engine: Literal["tensorrt_llm"]
    """TensorRT-LLM, 1.2 or later, with its PyTorch backend. Checkpoints are loaded as they are: nothing is compiled."""

    model_source: Annotated[str, Field(min_length=1)]
    """Where the weights are: the path of a model folder, a model id of the Hugging Face hub, or, up to version
    1.3.0rc20, the folder of an engine that `trtllm-build` compiled."""

    why_no_swap: ClassVar[str] = "nothing makes `trtllm-serve` give its GPU's memory back and take it again"

    start_timeout_s: Seconds = 1800.0
    """Longest time, in seconds, from the engine's start to its first healthy answer: loading a large checkpoint and
    tuning its kernels takes many minutes. Then the replica fails with the engine's last lines as its reason."""

    revision: str | None = None
    """Revision on the hub: a branch, a tag or a commit. Default: the newest."""

    tokenizer_source: str | None = None
    """Where the tokenizer is: a folder, or an id on the hub. Default: with the weights."""

    tensor_parallel_size: Annotated[int, Field(ge=1, le=64)] = 1
    """GPUs of one node that share each layer. The replica reserves as many GPUs."""

    pipeline_parallel_size: Annotated[int, Field(ge=1, le=64)] = 1
    """Stages of consecutive layers, each on GPUs of its own."""

    expert_parallel_size: Annotated[int, Field(ge=1, le=64)] | None = None
    """Among how many of those GPUs the experts of a mixture are divided. Default: TensorRT-LLM's own choice."""

    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """Precision of weights and activations. `auto` takes the checkpoint's."""

    max_model_len: Annotated[int, Field(ge=16, le=10_000_000)] | None = None
    """Context of one request, in tokens: prompt and completion together (its `max_seq_len`). Default: the model's own;
    the router then cannot cut `max_tokens` to what is left."""

    max_num_seqs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Requests that run at once; more wait (its `max_batch_size`). Default: TensorRT-LLM's own, 2048."""

    max_num_batched_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Tokens of all requests in one step (its `max_num_tokens`). Default: TensorRT-LLM's own, 8192."""

    kv_cache_memory_ratio: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Share, 0 to 1, of the GPU memory *left beside the weights* that the KV cache takes (its
    `free_gpu_memory_fraction`). vLLM's `gpu_memory_utilization` is a share of the whole."""

    kv_cache_dtype: Literal["auto", "fp8", "nvfp4"] = "auto"
    """Precision of the KV cache."""

    enable_prefix_caching: bool = True
    """Keep the KV cache of prompts, for prompts that begin alike (its `enable_block_reuse`)."""

    enable_chunked_prefill: bool = True
    """Split long prompts, so that they do not hold up everybody's next token."""

    enforce_eager: bool = False
    """Run without CUDA graphs: starts sooner and answers slower."""

    guided_decoding_backend: Literal["xgrammar", "llguidance"] = "xgrammar"
    """What holds answers to a JSON schema. Without one, TensorRT-LLM ignores `response_format` without a word."""

    tool_call_parser: str | None = None
    """What reads tool calls out of this model's answers, by TensorRT-LLM's name for it (`qwen3`, `deepseek_v3`, ...).
    Default: requests with tools are refused."""

    reasoning_parser: str | None = None
    """What reads reasoning out of this model's answers, by TensorRT-LLM's name for it. Default: it stays in the
    content."""

    chat_template: str | None = None
    """Path of a chat template. Default: the model's own."""

    trust_remote_code: bool = False
    """Run Python code that the checkpoint brings."""

    llm_args: dict[str, JsonValue] = Field(default_factory=dict)
    """More of TensorRT-LLM's own arguments, as in the YAML file of its `--config`. Names and types are checked
    against version 1.3.0rc3, since the server does not start with one that it does not know."""

    unchecked_llm_args: dict[str, JsonValue] = Field(default_factory=dict)
    """The same, not checked: for arguments that came with a later version."""

    extra_args: tuple[str, ...] = ()
    """More arguments for `trtllm-serve`, each word an item. The installed version is asked whether it knows them."""

    @property
    def num_gpus(self) -> int:
        return self.tensor_parallel_size * self.pipeline_parallel_size

    @model_validator(mode="after")
    def _llm_args_are_known(self) -> Self:
        for name in ("llm_args", "unchecked_llm_args"):
            for key in getattr(self, name):
                if key in OWN_LLM_ARGS:
                    raise error_at((name, key), f"is Enginehouse's own; use {OWN_LLM_ARGS[key]}")
        for path, message in faults(self.llm_args):
            raise error_at(("llm_args", *path), message)
        return self

    @model_validator(mode="after")
    def _extra_args_are_extra(self) -> Self:
        for position, word in enumerate(self.extra_args):
            name = word.partition("=")[0]
            if name in OWN_OPTIONS:
                raise error_at(("extra_args", position), f"{name} is Enginehouse's own; use {OWN_OPTIONS[name]}")
        return self


OWN_LLM_ARGS = {
    "model": "model_source",
    "tokenizer": "tokenizer_source",
    "revision": "revision",
    "tensor_parallel_size": "tensor_parallel_size",
    "pipeline_parallel_size": "pipeline_parallel_size",
    "moe_expert_parallel_size": "expert_parallel_size",
    "dtype": "dtype",
    "max_seq_len": "max_model_len",
    "max_batch_size": "max_num_seqs",
    "max_num_tokens": "max_num_batched_tokens",
    "enable_chunked_prefill": "enable_chunked_prefill",
    "guided_decoding_backend": "guided_decoding_backend",
    "reasoning_parser": "reasoning_parser",
    "trust_remote_code": "trust_remote_code",
    "backend": "the folder of a compiled engine as model_source",
    "return_perf_metrics": "nothing: it is always on",
    "enable_iter_perf_stats": "nothing: it is always on",
}
"""Arguments of TensorRT-LLM that Enginehouse writes itself, and the settings to use instead."""

OWN_OPTIONS = {
    "--host": "listener.host of the router",
    "--port": "listener.port of the router",
    "--served_model_name": "model",
    "--tokenizer": "tokenizer_source",
    "--config": "llm_args",
    "--extra_llm_api_options": "llm_args",
    "--backend": "the folder of a compiled engine as model_source",
    "--tp_size": "tensor_parallel_size",
    "--tensor_parallel_size": "tensor_parallel_size",
    "--pp_size": "pipeline_parallel_size",
    "--pipeline_parallel_size": "pipeline_parallel_size",
    "--ep_size": "expert_parallel_size",
    "--moe_expert_parallel_size": "expert_parallel_size",
    "--max_batch_size": "max_num_seqs",
    "--max_num_tokens": "max_num_batched_tokens",
    "--max_seq_len": "max_model_len",
    "--free_gpu_memory_fraction": "kv_cache_memory_ratio",
    "--kv_cache_free_gpu_memory_fraction": "kv_cache_memory_ratio",
    "--reasoning_parser": "reasoning_parser",
    "--tool_parser": "tool_call_parser",
    "--chat_template": "chat_template",
    "--enable_chunked_prefill": "enable_chunked_prefill",
    "--trust_remote_code": "trust_remote_code",
    "--revision": "revision",
    "--hf_revision": "revision",
    "--grpc": "nothing: the router speaks HTTP",
    "--server_role": "nothing: disaggregated serving is not supported",
    "--middleware": "the router",
}
"""Options of `trtllm-serve` that Enginehouse writes itself, and what to use instead."""
