"""
A stand-in for `trtllm-serve` of TensorRT-LLM's PyTorch backend, which needs a GPU and NVIDIA's own wheel.

It is as strict as the real one: the same options, the same YAML, the same requests, the same oddities on the wire. It
generates no language: `prompts.py` says what it answers, `settings.py` what a test may choose by STANDIN_ variables.
"""

from pathlib import Path
from typing import Any

from options import create_command
from settings import read_settings


def serve(**options: Any) -> None:
    # Imported here, because help and bad options need neither FastAPI nor pydantic, and are asked for often.
    import serving  # noqa: PLC0415

    serving.serve(**options)


if __name__ == "__main__":
    create_command(Path(__file__).with_name("options.json"), read_settings().version, serve)(prog_name="trtllm-serve")
