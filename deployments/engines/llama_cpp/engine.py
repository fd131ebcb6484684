"""llama.cpp's own OpenAI server, through the package xllamacpp."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from configs.engine import LlamaCppSettings
from deployments.engines import prometheus_text
from deployments.engines.configured import ConfiguredEngine
from deployments.engines.contract import ChildCommand, EngineAddress, Profile
from deployments.engines.llama_cpp.llama_cpp_server import BadWeightsError, find_weights, read_header
from deployments.engines.load import EngineLoad
from deployments.engines.model_files import shows_thinking
from deployments.engines.statements import EngineAnswer, Questions
from router.replicas.statement import Statement

# Run by path: the interpreter may belong to an environment that has xllamacpp and nothing of ours.
SERVER = Path(__file__).with_name("llama_cpp_server.py")

_LAUNCHED = (
    *("model", "model_source", "task", "max_model_len", "max_num_seqs", "num_threads", "num_gpu_layers"),
    *("tensor_split", "max_num_batched_tokens", "max_num_micro_batch_tokens", "flash_attention", "kv_cache_type_k"),
    *("kv_cache_type_v", "chat_template", "pooling", "draft_model_source", "num_speculative_tokens"),
)
"""Settings that the engine's process is told of, by their own names."""


class LlamaCppEngine(ConfiguredEngine[LlamaCppSettings]):
    @property
    def profile(self) -> Profile:
        return "llama_cpp"

    @property
    def questions(self) -> Questions:
        return {"/props": None, "/v1/models": None}

    def statement(self, answers: Mapping[str, EngineAnswer]) -> Statement:
        """
        The same template that would have to show tools to the model says that it does: `chat_template_caps` is what
        llama.cpp found when it tried the template out. Where it shows none, tools are passed over without a word.
        """
        props = answers["/props"].document
        template, caps, senses = props.get("chat_template"), props.get("chat_template_caps"), props.get("modalities")
        text = template if isinstance(template, str) else ""
        return Statement(
            chat=None if template is None else bool(text),
            tools=bool(caps.get("supports_tools")) if isinstance(caps, dict) else None,
            vision=bool(senses.get("vision")) if isinstance(senses, dict) else None,
            audio=bool(senses.get("audio")) if isinstance(senses, dict) else None,
            transcription=bool(senses.get("audio")) if isinstance(senses, dict) else None,  # it asks a chat for it
            speech=False,
            reasoning=None if template is None else shows_thinking(text),
            structured_output=True,
            architecture=_architecture(self._settings.model_source),
            **_weights(answers["/v1/models"].document),
        )

    def command(self, address: EngineAddress) -> ChildCommand:
        settings = self._settings
        launch = {
            **{name: getattr(settings, name) for name in _LAUNCHED},
            "host": address.host,
            "port": address.port,
            "secret": address.secret,
        }
        return ChildCommand(
            argv=(settings.interpreter or sys.executable, str(SERVER)),
            environment={
                "PYTHONUNBUFFERED": "1",
                **settings.environment,
                "ENGINEHOUSE_ENGINE": orjson.dumps(launch).decode(),
            },
        )

    def dialect(self, address: EngineAddress) -> None:  # noqa: ARG002  the contract's
        return None

    def sleep_mode(self, address: EngineAddress) -> None:
        """By ending: its weights are still in the kernel's file cache when it starts again."""

    def load(self, metrics_text: str) -> EngineLoad:
        values = prometheus_text.samples(metrics_text)
        return EngineLoad(
            num_running=prometheus_text.required(values, "llamacpp:requests_processing"),
            num_waiting=prometheus_text.required(values, "llamacpp:requests_deferred"),
            kv_cache_usage_ratio=None,  # llama.cpp stopped exporting it
            # llama.cpp counts cached prompt tokens apart; ours is the whole prompt, as OpenAI's usage has it.
            num_prompt_tokens=prometheus_text.required(values, "llamacpp:prompt_tokens_total")
            + (prometheus_text.optional(values, "llamacpp:prompt_tokens_cached_total") or 0),
            num_completion_tokens=prometheus_text.optional(values, "llamacpp:tokens_predicted_total"),
        )


def _weights(cards: dict[str, Any]) -> dict[str, Any]:
    """What the list of models says of the weights."""
    data = cards.get("data")
    card = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
    meta = card.get("meta")
    told = meta if isinstance(meta, dict) else {}
    return {
        "num_parameters": told.get("n_params"),
        "size_bytes": told.get("size"),
        "quantization": told.get("ftype"),
        "file_format": "gguf",
    }


def _architecture(model_source: str) -> str | None:
    """By the header of the file, which the server does not tell. None where this interpreter cannot find the file."""
    try:
        return read_header(find_weights(model_source)).architecture
    except BadWeightsError:
        return None
