"""An environment of TensorRT-LLM that can build engines, as `enginehouse build` finds it."""

import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trtllm_installation import write_metadata, write_program, write_trtllm_serve

TOOLS = Path(__file__).parent / "trtllm_build"
H100 = "NVIDIA H100 80GB HBM3, 9.0, 79000"
A100 = "NVIDIA A100-SXM4-80GB, 8.0, 79000"


@dataclass
class BuildEnvironment:
    """
    Attributes:
        variables: of the environment, over those of the tests; PATH has this environment's programs first.
    """

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def examples(self) -> Path:
        return self.folder / "examples"

    @property
    def cwd(self) -> Path:
        """Where `enginehouse build` is called; the tools leave nothing there."""
        return self.folder / "cwd"

    @property
    def record(self) -> Path:
        return self.folder / "record.jsonl"

    def command(self, *words: object) -> list[str]:
        """`enginehouse build` with this environment's interpreter and examples."""
        command = [str(Path(sys.executable).with_name("enginehouse")), "build", *map(str, words)]
        return [*command, "--interpreter", str(self.python), "--examples-folder", str(self.examples)]

    @property
    def environ(self) -> dict[str, str]:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "STANDIN_BUILD_RECORD": str(self.record), **self.variables}

    def build(self, *words: object, **variables: str) -> subprocess.CompletedProcess[str]:
        environ = {**self.environ, **variables}
        command = self.command(*words)
        return subprocess.run(command, env=environ, cwd=self.cwd, capture_output=True, text=True, check=False)

    def start(self, *words: object, **variables: str) -> subprocess.Popen[str]:
        environ = {**self.environ, **variables}
        return subprocess.Popen(
            self.command(*words), env=environ, cwd=self.cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def notes(self) -> list[dict[str, Any]]:
        """One for each call of a tool, in order."""
        if not self.record.exists():
            return []
        return [json.loads(line) for line in self.record.read_text().splitlines()]

    def tools_called(self) -> list[str]:
        return [note["tool"] for note in self.notes() if "child_pid" not in note]

    def set_gpus(self, *gpus: str) -> None:
        """What nvidia-smi tells: lines of name, compute capability and free MiB."""
        query = "--query-gpu=name,compute_cap,memory.free --format=csv,noheader,nounits"
        lines = "".join(f"  echo '{gpu}'\n" for gpu in gpus)
        refusal = "echo 'Unknown option' >&2\n  exit 6"
        # Its other use: the launcher asks for the memory in use.
        script = f'#!/bin/sh\nif [ "$*" = "{query}" ]; then\n{lines or "  :"}\n'
        script += f'elif [ "$1" = --query-gpu=memory.used ]; then\n  echo 0\nelse\n  {refusal}\nfi\n'
        write_program(self.folder / "bin" / "nvidia-smi", script)


def make_build_environment(
    folder: Path, *, version: str = "1.2.1", tensorrt: str | None = "10.14.1.48", gpus: tuple[str, ...] = (H100,)
) -> BuildEnvironment:
    """A virtual environment with packages in name only, and tools that behave as the real ones' command lines."""
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    [packages] = folder.glob("lib/python*/site-packages")
    for name, number in (("tensorrt_llm", version), ("tensorrt", tensorrt)):
        if number is not None:
            (packages / name).mkdir()
            (packages / name / "__init__.py").write_text(f"__version__ = {number!r}\n")
            write_metadata(packages, name, number)
    environment = BuildEnvironment(folder)
    environment.cwd.mkdir()
    tools = {
        "bin/trtllm-build": "build",
        "examples/quantization/quantize.py": "quantize",
        "examples/models/core/llama/convert_checkpoint.py": "llama",
        "examples/models/core/gemma/convert_checkpoint.py": "gemma",
    }
    for path, kind in tools.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        program = f"import sys\nsys.path.insert(0, {str(TOOLS)!r})\nimport build_tools\nbuild_tools.main({kind!r})\n"
        write_program(folder / path, f"#!{environment.python}\n{program}")
    write_trtllm_serve(folder / "bin", {"version": version})
    environment.set_gpus(*gpus)
    return environment


def make_weights(folder: Path, *, architecture: str = "LlamaForCausalLM", size_bytes: int = 10_000_000) -> Path:
    """A checkpoint whose weights take no room on the disk."""
    folder.mkdir(parents=True)
    config = {"architectures": [architecture], "torch_dtype": "bfloat16", "max_position_embeddings": 4096}
    (folder / "config.json").write_text(json.dumps(config))
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(size_bytes)
    return folder
