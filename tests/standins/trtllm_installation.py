"""What an installation of TensorRT-LLM looks like to Enginehouse: a folder `bin` with `trtllm-serve` and `python`."""

import json
import sys
from pathlib import Path

STANDIN = Path(__file__).parent / "trtllm_serve" / "trtllm_serve.py"
"""The entry: `python STANDIN MODEL --options` is `trtllm-serve MODEL --options`."""


def make_trtllm_bin(folder: Path, **choices: str) -> Path:
    """
    A new `folder/bin` whose `trtllm-serve` is the stand-in. Both programs become the process that they start.

    Args:
        choices: STANDIN_ variables, without the prefix and in lower case, for each start that does not set its own:
            `version="1.2.1"`, `token_ms="20"`.

    Returns:
        the folder `bin`: `interpreter` is `bin/python`, which finds the metadata of a distribution `tensorrt_llm`.
    """
    programs = folder / "bin"
    programs.mkdir(parents=True)
    packages = folder / "packages"
    version = choices.get("version", "1.3.0rc3")
    write_metadata(packages, "tensorrt_llm", version)
    # Not a link: an interpreter that is reached through one does not find its environment's packages.
    python = f'#!/bin/sh\nPYTHONPATH="{packages}" exec "{sys.executable}" "$@"\n'
    write_program(programs / "python", python)
    write_trtllm_serve(programs, choices)
    return programs


def write_metadata(packages: Path, name: str, version: str) -> None:
    """What `importlib.metadata` finds of a distribution."""
    metadata = packages / f"{name}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def write_trtllm_serve(programs: Path, choices: dict[str, str]) -> None:
    defaults = {f"STANDIN_{name.upper()}": value for name, value in choices.items()}
    command = f"[{sys.executable!r}, {str(STANDIN)!r}, *sys.argv[1:]]"
    serve = f"os.execve({sys.executable!r}, {command}, {defaults!r} | os.environ)"
    write_program(programs / "trtllm-serve", f"#!{sys.executable}\nimport os, sys\n{serve}\n")


def write_program(path: Path, text: str) -> None:
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
