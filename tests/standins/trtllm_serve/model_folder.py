"""What the real server finds out about a model's folder before it loads it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ARCHITECTURES = frozenset(
    {
        "DeepseekV3ForCausalLM",
        "Gemma3ForCausalLM",
        "GptOssForCausalLM",
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "MixtralForCausalLM",
        "NemotronHForCausalLM",
        "Phi3ForCausalLM",
        "Qwen2ForCausalLM",
        "Qwen3ForCausalLM",
        "Qwen3MoeForCausalLM",
    }
)
"""Some of those that the PyTorch backend knows: enough for tests, not the real list."""

DEFAULT_CONTEXT_LENGTH = 4096


class BadModelFolderError(Exception):
    """The model cannot be loaded; the message ends the server's output."""


@dataclass(frozen=True)
class ModelFolder:
    """
    Attributes:
        name: under which the model is listed: the folder's own name.
        context_length: in tokens, from the checkpoint.
    """

    name: str
    context_length: int


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except FileNotFoundError:
        raise BadModelFolderError(f"OSError: {folder} does not appear to have a file named config.json.") from None
    except ValueError as error:
        raise BadModelFolderError(f"OSError: {folder}/config.json is not a valid JSON file: {error}") from None
    if not isinstance(config, dict):
        raise BadModelFolderError(f"OSError: {folder}/config.json is not a JSON object")
    return config


def _read_engine(folder: Path, config: dict[str, Any]) -> ModelFolder:
    for key in ("version", "pretrained_config", "build_config"):
        if key not in config:
            raise BadModelFolderError(f"KeyError: {key!r}")
    if not (folder / "rank0.engine").is_file():
        raise BadModelFolderError(f"FileNotFoundError: [Errno 2] No such file or directory: '{folder}/rank0.engine'")
    length = config["build_config"].get("max_seq_len") or DEFAULT_CONTEXT_LENGTH
    return ModelFolder(folder.name, length)


def read_model_folder(model: str, backend: str) -> ModelFolder:
    """
    Raises:
        BadModelFolderError: no folder, no config.json, no known architecture, or no engine for the tensorrt backend.
    """
    folder = Path(model)
    if not folder.is_dir():
        raise BadModelFolderError(
            f"ValueError: {model} is neither a folder here nor a model that can be downloaded: there is no network"
        )
    config = _read_config(folder)
    if backend == "tensorrt":
        return _read_engine(folder, config)
    architectures = config.get("architectures") or []
    if not architectures or architectures[0] not in ARCHITECTURES:
        name = architectures[0] if architectures else None
        raise BadModelFolderError(f"ValueError: Unknown architecture for AutoModelForCausalLM: {name}")
    return ModelFolder(folder.name, config.get("max_position_embeddings") or DEFAULT_CONTEXT_LENGTH)
