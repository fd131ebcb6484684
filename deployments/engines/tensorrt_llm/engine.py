"""The engine `tensorrt_llm`: its process, and the arguments that are written for it."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from configs.engine import TensorRtLlmSettings
from deployments.engines.configured import ConfiguredEngine
from deployments.engines.contract import ChildCommand, EngineAddress, Profile
from deployments.engines.front.counts import read_load
from deployments.engines.load import EngineLoad
from deployments.engines.model_files import describe_folder
from deployments.engines.statements import EngineAnswer
from deployments.engines.tensorrt_llm.dialect import TensorRtLlmDialect
from router.replicas.statement import Statement

# Run by path: the interpreter belongs to TensorRT-LLM's environment or image, which has nothing of ours.
LAUNCHER = Path(__file__).with_name("launcher.py")


class TensorRtLlmEngine(ConfiguredEngine[TensorRtLlmSettings]):
    @property
    def profile(self) -> Profile:
        return "front"

    def statement(self, answers: Mapping[str, EngineAnswer]) -> Statement:  # noqa: ARG002  the contract's
        """Where tools or thoughts have no parser they stay in the text. A forced call needs none: it is a schema."""
        settings = self._settings
        files = describe_folder(settings.tokenizer_source or settings.model_source, None, settings.environment)
        return replace(
            files,
            chat=True if settings.chat_template is not None else files.chat,
            tools=settings.tool_call_parser is not None,
            forced_tools=True,
            reasoning=settings.reasoning_parser is not None,
            structured_output=True,
            audio=False,  # requests with it are refused, as its server would take some of them for text
            transcription=False,
            speech=False,
        )

    def command(self, address: EngineAddress) -> ChildCommand:
        settings = self._settings
        launch = {
            "interpreter": settings.interpreter,
            "model": settings.model,
            "model_source": settings.model_source,
            "host": address.host,
            "port": address.port,
            "tokenizer": settings.tokenizer_source,
            "tool_parser": settings.tool_call_parser,
            "chat_template": settings.chat_template,
            "world_size": settings.num_gpus,
            "extra_args": settings.extra_args,
            "llm_args": llm_args(settings),
        }
        return ChildCommand(
            argv=(settings.interpreter or sys.executable, str(LAUNCHER)),
            environment={
                "PYTHONUNBUFFERED": "1",
                **settings.environment,
                "ENGINEHOUSE_ENGINE": orjson.dumps(launch).decode(),
            },
        )

    def dialect(self, address: EngineAddress) -> TensorRtLlmDialect:
        return TensorRtLlmDialect(
            f"http://{address.host}:{address.port}", has_tools=self._settings.tool_call_parser is not None
        )

    def sleep_mode(self, address: EngineAddress) -> None:
        """Never asked: its settings have no `swap`."""

    def load(self, metrics_text: str) -> EngineLoad:
        return read_load(metrics_text)


def llm_args(settings: TensorRtLlmSettings) -> dict[str, Any]:
    """
    The content of the file for `--config`: everything that is an argument of TensorRT-LLM's, so that few options of
    the server, which come and go with its versions, are needed. What is not set is left out.
    """
    kv_cache: dict[str, Any] = {
        "enable_block_reuse": settings.enable_prefix_caching,
        "free_gpu_memory_fraction": settings.kv_cache_memory_ratio,
    }
    if settings.kv_cache_dtype != "auto":
        kv_cache["dtype"] = settings.kv_cache_dtype
    arguments: dict[str, Any] = {
        "tensor_parallel_size": settings.tensor_parallel_size,
        "pipeline_parallel_size": settings.pipeline_parallel_size,
        "moe_expert_parallel_size": settings.expert_parallel_size,
        "dtype": None if settings.dtype == "auto" else settings.dtype,
        "revision": settings.revision,
        "max_seq_len": settings.max_model_len,
        "max_batch_size": settings.max_num_seqs,
        "max_num_tokens": settings.max_num_batched_tokens,
        "enable_chunked_prefill": settings.enable_chunked_prefill,
        "guided_decoding_backend": settings.guided_decoding_backend,
        "reasoning_parser": settings.reasoning_parser,
        "trust_remote_code": settings.trust_remote_code or None,
        "enable_iter_perf_stats": True,  # where the front learns how many requests wait
        "return_perf_metrics": True,
        "kv_cache_config": kv_cache,
    }
    written = {name: value for name, value in arguments.items() if value is not None}
    if settings.enforce_eager:
        written["cuda_graph_config"] = None
    return _merged(_merged(written, settings.llm_args), settings.unchecked_llm_args)


def _merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """`more` over `base`, block by block: a setting inside `kv_cache_config` must not lose the others there."""
    merged = dict(base)
    for name, value in more.items():
        inside = merged.get(name)
        merged[name] = _merged(inside, value) if isinstance(inside, dict) and isinstance(value, dict) else value
    return merged
