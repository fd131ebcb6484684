"""What a test lays out for the stand-in: the program named `ollama`, and models in its folder."""

import json
import sys
from pathlib import Path

SERVER = Path(__file__).with_name("ollama_server.py")


def make_program(folder: Path) -> Path:
    """An executable `ollama` in `folder`."""
    program = folder / "ollama"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{SERVER}" "$@"\n')
    program.chmod(0o755)
    return program


def make_model(models_folder: Path, name: str, *, context: int = 8192, capabilities: tuple[str, ...] = ()) -> None:
    """A model NAME:TAG that is there already. `context` is what it was trained for, in tokens."""
    short, _, tag = name.partition(":")
    manifest = models_folder / "manifests/registry.ollama.ai/library" / short / (tag or "latest")
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps({"context": context, "capabilities": capabilities or ("completion", "tools")}))
