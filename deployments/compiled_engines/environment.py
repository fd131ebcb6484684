"""The environment of TensorRT-LLM that builds: its interpreter, and what that tells."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass

from deployments.compiled_engines.errors import CompiledEngineError
from deployments.compiled_engines.match import PROBE
from deployments.engines.tensorrt_llm.launcher import interpreter_of

PROBE_TIMEOUT_S = 300.0
"""Importing TensorRT-LLM, where nothing else tells its version, takes up to minutes on a cold disk."""


@dataclass(frozen=True)
class Environment:
    """
    Attributes:
        gpus: name, SM and free bytes of each; None where nobody can tell.
    """

    interpreter: str
    tensorrt_llm: str
    tensorrt: str | None
    trtllm_build: str | None
    gpus: tuple[tuple[str, int, int], ...] | None


def find_environment(interpreter: str | None) -> Environment:
    """
    Raises:
        CompiledEngineError: there is no TensorRT-LLM, or it does not tell about itself.
    """
    python = interpreter or _interpreter_on_path()
    command = [python, str(PROBE)]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False)
    except OSError as error:
        raise CompiledEngineError(f"cannot execute the interpreter {python}: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise CompiledEngineError(
            f"{python} did not tell about its TensorRT-LLM within {PROBE_TIMEOUT_S:.0f} s"
        ) from None
    said = answer.stderr.strip()
    try:
        found = json.loads(answer.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise CompiledEngineError(
            f"{python} did not tell about its TensorRT-LLM; it said: {said or 'nothing'}"
        ) from None
    if found["tensorrt_llm"] is None:
        raise CompiledEngineError(
            f"TensorRT-LLM is not installed for {python}: name its Python with --interpreter"
            + (f" ({said.splitlines()[-1]})" if said else "")
        )
    gpus = found["gpus"]
    return Environment(
        interpreter=python,
        tensorrt_llm=found["tensorrt_llm"],
        tensorrt=found["tensorrt"],
        trtllm_build=found["trtllm_build"],
        gpus=None if gpus is None else tuple((gpu["name"], gpu["sm"], gpu["free_bytes"]) for gpu in gpus),
    )


def _interpreter_on_path() -> str:
    """That of TensorRT-LLM's programs, which name it in their first line; else ours."""
    for name in ("trtllm-build", "trtllm-serve"):
        program = shutil.which(name)
        if program is not None:
            return interpreter_of(program)
    return sys.executable
