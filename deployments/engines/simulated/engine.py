"""The simulated engine: vLLM-shaped answers without a model, paced by a model of latency and of the KV cache."""

import sys
from collections.abc import Mapping
from pathlib import Path

import orjson

from configs.engine import SimulatedSettings
from deployments.engines.configured import ConfiguredEngine
from deployments.engines.contract import (
    ChildCommand,
    EngineAddress,
    Profile,
    SleepMode,
)
from deployments.engines.load import EngineLoad
from deployments.engines.statements import EngineAnswer
from deployments.engines.vllm.metrics import read_load
from deployments.engines.vllm.sleep import vllm_sleep_mode
from router.replicas.statement import Statement

SERVER = Path(__file__).with_name("simulated_server.py")


class SimulatedEngine(ConfiguredEngine[SimulatedSettings]):
    @property
    def profile(self) -> Profile:
        return "vllm"

    def statement(self, answers: Mapping[str, EngineAnswer]) -> Statement:  # noqa: ARG002  the contract's
        """It does its task and nothing else."""
        return Statement(
            chat=True, tools=False, vision=False, fim=False, reasoning=False, structured_output=False, audio=False,
            transcription=False, speech=False, architecture="simulated",
        )  # fmt: skip

    def command(self, address: EngineAddress) -> ChildCommand:
        settings = self._settings
        launch = {
            "model": settings.model,
            "max_model_len": settings.max_model_len,
            "max_num_seqs": settings.max_num_seqs,
            "prefill_base_ms": settings.prefill_base_ms,
            "prefill_tokens_per_s": settings.prefill_tokens_per_s,
            "inter_token_ms": settings.inter_token_ms,
            "kv_cache_tokens": settings.kv_cache_tokens,
            "kv_block_tokens": settings.kv_block_tokens,
            "max_prefills": settings.max_prefills,
            "start_delay_s": settings.start_delay_s,
            "wake_delay_s": settings.wake_delay_s,
            "gpu_file": settings.gpu_file,
            "takes_turns": settings.swap is not None,
            "task": settings.task,
            "host": address.host,
            "port": address.port,
            "secret": address.secret,
        }
        return ChildCommand(
            argv=(
                settings.interpreter or sys.executable,
                "-P",
                str(SERVER),
            ),  # -P: its neighbour http.py is not Python's
            environment={
                "PYTHONUNBUFFERED": "1",
                **settings.environment,
                "ENGINEHOUSE_ENGINE": orjson.dumps(launch).decode(),
            },
        )

    def dialect(self, address: EngineAddress) -> None:  # noqa: ARG002  the contract's
        return None

    def sleep_mode(self, address: EngineAddress) -> SleepMode:
        return vllm_sleep_mode(address, level=1)

    def load(self, metrics_text: str) -> EngineLoad:
        return read_load(metrics_text)
