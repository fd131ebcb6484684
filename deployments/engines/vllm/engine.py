"""vLLM's own OpenAI server."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from configs.engine import SpeculativeSettings, Task, VllmSettings
from deployments.engines.configured import ConfiguredEngine
from deployments.engines.contract import (
    ChildCommand,
    EngineAddress,
    Profile,
    SleepMode,
)
from deployments.engines.load import EngineLoad
from deployments.engines.model_files import describe_folder
from deployments.engines.statements import EngineAnswer, Questions
from deployments.engines.vllm.metrics import read_load
from deployments.engines.vllm.sleep import SLEEP_ENVIRONMENT, vllm_sleep_mode
from router.fitting.profiles import NO_ROUTE_STATUSES
from router.replicas.statement import Statement

INSIDE_FOLDER = Path(__file__).with_name("inside_vllm")
"""What runs in vLLM's own interpreter: the launcher, run by path, and the middleware. A folder of its own, for it is on
that interpreter's import path, where this file would be taken for vLLM."""

_RECORDINGS = "/v1/audio/transcriptions"


class VllmEngine(ConfiguredEngine[VllmSettings]):
    @property
    def profile(self) -> Profile:
        return "vllm"

    @property
    def questions(self) -> Questions:
        """Its server tells nothing of its model but the context, and has routes for recordings where that takes any."""
        return {_RECORDINGS: {}}

    def statement(self, answers: Mapping[str, EngineAnswer]) -> Statement:
        """Without a parser vLLM refuses tools that are only allowed, and leaves what is thought within the text."""
        settings = self._settings
        files = describe_folder(settings.model_source, settings.revision, settings.environment)
        return replace(
            files,
            chat=True if settings.chat_template is not None else files.chat,
            tools=settings.tool_call_parser is not None,
            forced_tools=True,
            reasoning=settings.reasoning_parser is not None,
            structured_output=True,
            transcription=_has_route(answers.get(_RECORDINGS)),
            speech=False,
        )

    def command(self, address: EngineAddress) -> ChildCommand:
        settings = self._settings
        interpreter = settings.interpreter or sys.executable
        import_path = [str(INSIDE_FOLDER), os.environ.get("PYTHONPATH", "")]
        own = [*_task_arguments(settings.task), *_arguments(settings)]
        return ChildCommand(
            argv=(
                *(interpreter, str(INSIDE_FOLDER / "enginehouse_vllm.py"), settings.model_source),
                *("--served-model-name", settings.model, "--host", address.host, "--port", str(address.port)),
                *("--middleware", "enginehouse_guard.Guard", "--enable-prompt-tokens-details"),
                *(word for _, *words in own for word in words),
                *settings.extra_args,
            ),
            environment={
                "VLLM_NO_USAGE_STATS": "1",  # vLLM reports its use to its makers otherwise
                "PYTHONUNBUFFERED": "1",
                # An interpreter's own tools, ninja among them, are beside it.
                "PATH": os.pathsep.join([str(Path(interpreter).parent), os.environ.get("PATH", "")]),
                **settings.environment,
                **(SLEEP_ENVIRONMENT if settings.swap is not None else {}),
                "PYTHONPATH": os.pathsep.join(path for path in import_path if path),
                "ENGINEHOUSE_SECRET": address.secret,
                "ENGINEHOUSE_SETTINGS": json.dumps({option: setting for setting, option, *_ in own}),
            },
        )

    def dialect(self, address: EngineAddress) -> None:  # noqa: ARG002  the contract's
        return None

    def sleep_mode(self, address: EngineAddress) -> SleepMode:
        return vllm_sleep_mode(address, 1 if self._settings.swap is None else self._settings.swap.level)

    def load(self, metrics_text: str) -> EngineLoad:
        return read_load(metrics_text)


def _arguments(settings: VllmSettings) -> Iterator[tuple[str, ...]]:
    """A setting, its option of `vllm serve`, and the option's values. What is at vLLM's default is not passed."""
    yield from _plain_arguments(settings)
    if settings.swap is not None:
        yield "swap", "--enable-sleep-mode"
    if settings.tool_call_parser is not None:
        yield "tool_call_parser", "--enable-auto-tool-choice"
        yield "tool_call_parser", "--tool-call-parser", settings.tool_call_parser
    if settings.structured_outputs_backend is not None:
        config = json.dumps({"backend": settings.structured_outputs_backend})
        yield "structured_outputs_backend", "--structured-outputs-config", config
    if settings.speculative is not None:
        yield "speculative", "--speculative-config", _speculative_config(settings.speculative)
    if settings.lora_adapters:
        yield "lora_adapters", "--enable-lora"
        adapters = (f"{name}={source}" for name, source in settings.lora_adapters.items())
        yield "lora_adapters", "--lora-modules", *adapters


def _plain_arguments(settings: VllmSettings) -> Iterator[tuple[str, ...]]:
    for setting in _VALUED:
        value = getattr(settings, setting)
        if value is not None:
            yield setting, _option(setting), str(value)
    for setting in _SWITCHED:
        value = getattr(settings, setting)
        # A Whisper's engine dies at its first request where a prefix cache was demanded; vLLM knows which models do.
        is_left_to_vllm = settings.task == "transcribe" and setting not in settings.model_fields_set
        if value is not None and not is_left_to_vllm:
            yield setting, _option(setting if value else f"no_{setting}")
    for setting in _FLAGS:
        if getattr(settings, setting):
            yield setting, _option(setting)


_VALUED = (
    *("revision", "tensor_parallel_size", "pipeline_parallel_size", "distributed_executor_backend"),
    *("dtype", "quantization", "load_format"),
    *("max_model_len", "max_num_seqs", "max_num_batched_tokens", "long_prefill_token_threshold", "scheduling_policy"),
    *("gpu_memory_utilization", "kv_cache_dtype", "max_loras", "max_lora_rank"),
    *("reasoning_parser", "chat_template"),
)
"""Settings whose options have the same name and a value. vLLM has all of these from 0.26 to 0.33."""

_SWITCHED = ("enable_prefix_caching", "enable_chunked_prefill", "async_scheduling")
"""Settings whose options have a counterpart that begins with `--no-`."""

_FLAGS = ("enforce_eager", "trust_remote_code")


def _task_arguments(task: Task) -> Iterator[tuple[str, ...]]:
    """`--convert` is for models that were trained to generate; vLLM leaves the others as they are."""
    if task in ("embed", "rerank"):
        yield "task", "--runner", "pooling"
        yield "task", "--convert", "embed" if task == "embed" else "classify"


def _has_route(answer: EngineAnswer | None) -> bool | None:
    """None where there was no answer. An empty body is refused with 400, where there is a route for others."""
    return None if answer is None or answer.status == 0 else answer.status not in NO_ROUTE_STATUSES


def _option(setting: str) -> str:
    return "--" + setting.replace("_", "-")


def _speculative_config(guess: SpeculativeSettings) -> str:
    config: dict[str, str | int] = {"method": guess.method, "num_speculative_tokens": guess.num_speculative_tokens}
    if guess.model_source is not None:
        config["model"] = guess.model_source
    return json.dumps(config)
