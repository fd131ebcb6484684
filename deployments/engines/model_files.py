"""What a model's own files say of it, where they lie in a folder as Hugging Face has them."""

import os
from collections.abc import Mapping
from pathlib import Path

import orjson

from router.replicas.statement import NOTHING_SAID, Statement

_THINKING = ("<think>", "enable_thinking", "reasoning_content", "<|channel|>")
"""What chat templates of models that think have in them."""


def describe_folder(model_source: str, revision: str | None, environment: Mapping[str, str]) -> Statement:
    """
    Args:
        model_source: a folder, or the name of a repository that has been downloaded.
        revision: of the repository; None for `main`.
        environment: what the engine gets beside that of this process.
    """
    folder = _find_folder(model_source, revision or "main", {**os.environ, **environment})
    config = {} if folder is None else _json_of(folder / "config.json")
    if folder is None or not config:
        return NOTHING_SAID
    quantization = config.get("quantization_config")
    method = quantization.get("quant_method") if isinstance(quantization, dict) else config.get("torch_dtype")
    architecture = config.get("model_type")
    weights = list(folder.glob("*.safetensors"))
    return Statement(
        chat=bool(chat_template(folder)),
        vision="vision_config" in config,
        audio="audio_config" in config,
        architecture=architecture if isinstance(architecture, str) else None,
        size_bytes=sum(path.stat().st_size for path in weights) or None,
        quantization=method if isinstance(method, str) else None,
        file_format="safetensors" if weights else None,
    )


def chat_template(folder: Path) -> str:
    """The text of a folder's chat template, the first where it has several; empty where it has none."""
    written = folder / "chat_template.jinja"
    if written.is_file():
        return written.read_text(encoding="utf-8", errors="replace")
    for name in ("tokenizer_config.json", "chat_template.json"):
        given = _json_of(folder / name).get("chat_template")
        if isinstance(given, list) and given and isinstance(given[0], dict):
            given = given[0].get("template")
        if isinstance(given, str) and given:
            return given
    return ""


def shows_thinking(template: str) -> bool:
    """Whether a chat template is that of a model that thinks before it answers."""
    return any(mark in template for mark in _THINKING)


def _find_folder(source: str, revision: str, environment: Mapping[str, str]) -> Path | None:
    """
    Source:
        https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    home = Path(environment.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    hub = Path(environment.get("HF_HUB_CACHE") or home / "hub").expanduser()
    repository = hub / f"models--{source.replace('/', '--')}"
    try:
        commit = (repository / "refs" / revision).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        commit = revision
    snapshot = repository / "snapshots" / commit
    return snapshot if snapshot.is_dir() else None


def _json_of(path: Path) -> dict[str, object]:
    """The object in a file; empty where there is none."""
    try:
        document = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return document if isinstance(document, dict) else {}
