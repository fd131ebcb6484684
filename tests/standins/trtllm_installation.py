"""What an installation of TensorRT-LLM looks like to Enginehouse: a folder `bin` with `trtllm-serve` and `python`."""

import json
import sys
from pathlib import Path

STANDIN = Path(__file__).parent / "trtllm_serve" / "trtllm_serve.py"
"""The entry: `python STANDIN MODEL --options` is `trtllm-serve MODEL --options`."""


def make_trtllm_bin(folder: Path) -> Path:
    """
    A new `folder/bin` whose `trtllm-serve` is the stand-in. Both programs become the process that they start.

    Returns:
        the folder `bin`: `interpreter` is `bin/python`.
    """
    programs = folder / "bin"
    programs.mkdir(parents=True)
    # Not a link: an interpreter that is reached through one does not find its environment's packages.
    _write_program(programs / "python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    serve = f"import os, sys\nos.execv({sys.executable!r}, [{sys.executable!r}, {str(STANDIN)!r}, *sys.argv[1:]])\n"
    _write_program(programs / "trtllm-serve", f"#!{sys.executable}\n{serve}")
    return programs


def _write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def make_checkpoint(
    folder: Path, *, architecture: str = "LlamaForCausalLM", max_position_embeddings: int = 4096
) -> Path:
    """A folder that the stand-in takes for a model's: a config.json and nothing else."""
    folder.mkdir(parents=True)
    config = {"architectures": [architecture], "max_position_embeddings": max_position_embeddings}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def make_engine_folder(folder: Path, *, version: str = "1.2.1", max_seq_len: int = 2048) -> Path:
    """A folder of the old backend: an engine for one rank, built by `version`."""
    folder.mkdir(parents=True)
    config = {"version": version, "pretrained_config": {}, "build_config": {"max_seq_len": max_seq_len}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "rank0.engine").write_bytes(b"engine")
    return folder
