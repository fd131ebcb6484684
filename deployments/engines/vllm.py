"""vLLM's own OpenAI server."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from configs.engine import VllmSettings
from deployments.engines.contract import ChildCommand, EngineAddress, FirstRequest, Profile, one_token
from deployments.engines.load import EngineLoad
from deployments.engines.vllm_metrics import read_load

GUARD_FOLDER = Path(__file__).with_name("vllm_guard")


class VllmEngine:
    def __init__(self, settings: VllmSettings) -> None:
        self._settings = settings

    @property
    def profile(self) -> Profile:
        return "vllm"

    @property
    def max_model_len(self) -> int | None:
        return self._settings.max_model_len

    @property
    def first_request(self) -> FirstRequest:
        return one_token(self._settings.model)

    def command(self, address: EngineAddress) -> ChildCommand:
        settings = self._settings
        interpreter = settings.interpreter or sys.executable
        import_path = [str(GUARD_FOLDER), os.environ.get("PYTHONPATH", "")]
        return ChildCommand(
            argv=(
                *(interpreter, "-m", "vllm.entrypoints.cli.main", "serve", settings.model_source),
                *("--served-model-name", settings.model, "--host", address.host, "--port", str(address.port)),
                *("--middleware", "enginehouse_guard.Guard"),
                *_arguments(settings),
                *settings.extra_args,
            ),
            environment={
                "VLLM_NO_USAGE_STATS": "1",  # vLLM reports its use to its makers otherwise
                "PYTHONUNBUFFERED": "1",
                # An interpreter's own tools, ninja among them, are beside it.
                "PATH": os.pathsep.join([str(Path(interpreter).parent), os.environ.get("PATH", "")]),
                **settings.environment,
                "PYTHONPATH": os.pathsep.join(path for path in import_path if path),
                "ENGINEHOUSE_SECRET": address.secret,
            },
        )

    def dialect(self, address: EngineAddress) -> None:  # noqa: ARG002  the contract's
        return None

    def load(self, metrics_text: str) -> EngineLoad:
        return read_load(metrics_text)


def _arguments(settings: VllmSettings) -> Iterator[str]:
    """Options of `vllm serve`, all of them known from 0.26 to 0.33. What is at vLLM's default is not passed."""
    yield from _valued("--revision", settings.revision)
    yield from _valued("--tensor-parallel-size", settings.tensor_parallel_size)
    yield from _valued("--pipeline-parallel-size", settings.pipeline_parallel_size)
    yield from _valued("--dtype", settings.dtype)
    yield from _valued("--quantization", settings.quantization)
    yield from _valued("--max-model-len", settings.max_model_len)
    yield from _valued("--max-num-seqs", settings.max_num_seqs)
    yield from _valued("--max-num-batched-tokens", settings.max_num_batched_tokens)
    yield from _valued("--gpu-memory-utilization", settings.gpu_memory_utilization)
    yield from _valued("--load-format", settings.load_format)
    yield from _valued("--reasoning-parser", settings.reasoning_parser)
    yield from _valued("--chat-template", settings.chat_template)
    yield "--enable-prefix-caching" if settings.enable_prefix_caching else "--no-enable-prefix-caching"
    yield "--enable-chunked-prefill" if settings.enable_chunked_prefill else "--no-enable-chunked-prefill"
    if settings.enforce_eager:
        yield "--enforce-eager"
    if settings.tool_call_parser is not None:
        yield from ("--enable-auto-tool-choice", "--tool-call-parser", settings.tool_call_parser)
    if settings.speculative is not None:
        guess = settings.speculative
        config: dict[str, str | int] = {"method": guess.method, "num_speculative_tokens": guess.num_speculative_tokens}
        if guess.model_source is not None:
            config["model"] = guess.model_source
        yield from ("--speculative-config", json.dumps(config))
    if settings.lora_adapters:
        yield from ("--enable-lora", "--lora-modules")
        yield from (f"{name}={source}" for name, source in settings.lora_adapters.items())


def _valued(option: str, value: str | float | None) -> tuple[str, ...]:
    return () if value is None else (option, str(value))
