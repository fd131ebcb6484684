"""The checkpoint that an engine is built from, as far as its folder tells without reading weights."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.compiled_engines.errors import CompiledEngineError

WEIGHTS = ("*.safetensors", "*.bin")
_BYTES_PER_WEIGHT = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Checkpoint:
    """
    Attributes:
        architecture: the first of `architectures`, such as LlamaForCausalLM.
        quantized_by: the method of weights that are quantized already.
        weight_bytes: of all weight files.
        bytes_per_weight: 2 or 4.
        fingerprint: changes with the configuration, and with any weight file's name, size or time of change.
    """

    folder: Path
    architecture: str
    quantized_by: str | None
    weight_bytes: int
    bytes_per_weight: int
    fingerprint: str


def read_checkpoint(folder: Path) -> Checkpoint:
    """
    Raises:
        CompiledEngineError: it is not the folder of a checkpoint with weights.
    """
    config, text = _read_config(folder)
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not architectures or not isinstance(architectures[0], str):
        raise CompiledEngineError(f"{folder}/config.json names no architectures: it is no Hugging Face checkpoint")
    stats = {path.name: path.stat() for path in _weight_files(folder)}
    if not stats:
        raise CompiledEngineError(f"{folder} has no weights: no file there ends in .safetensors or .bin")
    quantization = config.get("quantization_config")
    method = quantization.get("quant_method", "unknown") if isinstance(quantization, dict) else None
    written = json.dumps([[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()])
    return Checkpoint(
        folder=folder,
        architecture=architectures[0],
        quantized_by=None if method is None else str(method),
        weight_bytes=sum(stat.st_size for stat in stats.values()),
        bytes_per_weight=_BYTES_PER_WEIGHT.get(str(config.get("torch_dtype") or config.get("dtype")), 2),
        fingerprint=hashlib.sha256(text + written.encode()).hexdigest(),
    )


def _read_config(folder: Path) -> tuple[dict[str, Any], bytes]:
    if not folder.is_dir():
        raise CompiledEngineError(f"no checkpoint at {folder}: there is no such folder")
    try:
        text = (folder / "config.json").read_bytes()
        config = json.loads(text)
    except FileNotFoundError:
        raise CompiledEngineError(f"no checkpoint at {folder}: the folder has no config.json") from None
    except (OSError, ValueError) as error:
        raise CompiledEngineError(f"{folder}/config.json cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise CompiledEngineError(f"{folder}/config.json is not a JSON object")
    return config, text


def _weight_files(folder: Path) -> list[Path]:
    """Of one format: many checkpoints bring both, and only one is loaded."""
    for pattern in WEIGHTS:
        found = sorted(folder.glob(pattern))
        if found:
            return found
    return []
