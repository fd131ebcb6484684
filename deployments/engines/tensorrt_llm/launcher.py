"""
The first moments of TensorRT-LLM's process: run by path, needs the standard library only.

Asks the installed `trtllm-serve` which options it has, writes its arguments to a file, and becomes it. What it was told
comes as JSON in ENGINEHOUSE_ENGINE; `TensorRtLlmEngine.command` writes that.
"""

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn, TypedDict

HELP_TIMEOUT_S = 300.0
"""Importing TensorRT-LLM, which its help does first, takes up to minutes on a cold disk."""

GPU_MEMORY_TIMEOUT_S = 30.0
GPU_MEMORY_POLL_S = 1.0

PARENT_LAUNCHERS = ("OMPI_", "PMIX_", "PMI_", "SLURM_", "UCX_", "I_MPI_")
"""Variables of an MPI job around us: TensorRT-LLM would take itself for a part of it."""

COMPILED_ENGINE_CHECK = Path(__file__).parents[2] / "compiled_engines" / "match.py"
COMPILED_ENGINE_CHECK_TIMEOUT_S = 120.0

TORCH_ONLY = ("cuda_graph_config", "enable_iter_perf_stats")
"""Arguments that a compiled engine's server does not know."""


class Launch(TypedDict):
    interpreter: str | None
    model: str
    model_source: str
    host: str
    port: int
    tokenizer: str | None
    tool_parser: str | None
    chat_template: str | None
    world_size: int
    extra_args: list[str]
    llm_args: dict[str, Any]


class CannotLaunch(Exception):
    """Why this cannot be started; the message says what to do."""


def find_server(interpreter: str | None) -> str:
    """
    The program `trtllm-serve`: beside the interpreter, or on the PATH where no interpreter is named.

    Raises:
        CannotLaunch: there is none.
    """
    if interpreter is not None:
        beside = Path(interpreter).with_name("trtllm-serve")
        if beside.is_file():
            return str(beside)
        raise CannotLaunch(f"TensorRT-LLM is not installed for {interpreter}: there is no {beside}")
    found = shutil.which("trtllm-serve")
    if found is None:
        raise CannotLaunch(
            "TensorRT-LLM is not installed here: there is no trtllm-serve on the PATH. Name its Python in `interpreter`"
        )
    return found


def options_in(help_text: str) -> frozenset[str]:
    """The long options that a help text lists; a line that lists some begins with them."""
    lines = [match[1] for match in re.finditer(r"^\s*((?:-\w,? )?--[\w./,| -]*)", help_text, re.MULTILINE)]
    return frozenset(option for line in lines for option in re.findall(r"--\w+", line))


def known_options(server: str) -> frozenset[str]:
    """
    What the installed server takes.

    Raises:
        CannotLaunch: it does not tell.
    """
    environment = {**os.environ, "COLUMNS": "200"}
    try:
        answer = subprocess.run(
            [server, "serve", "--help"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=HELP_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotLaunch(f"{server} did not tell its options: {error}") from error
    if answer.returncode != 0:
        last = "\n".join((answer.stderr or answer.stdout).strip().splitlines()[-10:])
        raise CannotLaunch(f"{server} cannot run; `{server} serve --help` ended with code {answer.returncode}:\n{last}")
    return options_in(answer.stdout)


def is_compiled(model_source: str) -> bool:
    """Whether this is the folder of a compiled engine, as `trtllm-build` writes it."""
    try:
        config = json.loads((Path(model_source) / "config.json").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "pretrained_config" in config and "build_config" in config


def check_compiled_engine(launch: Launch, server: str) -> None:
    """
    Asks whether the compiled engine was built for this TensorRT-LLM, these GPUs and as many ranks, and is whole. Reads
    sizes, no contents. What nobody can tell here is not compared.

    Raises:
        CannotLaunch: it was not.
    """
    llm_args = launch["llm_args"]
    words = [str(llm_args.get(name, 1)) for name in ("tensor_parallel_size", "pipeline_parallel_size")]
    interpreter = launch["interpreter"] or interpreter_of(server)
    command = [interpreter, str(COMPILED_ENGINE_CHECK), launch["model_source"], *words]
    try:
        answer = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, timeout=COMPILED_ENGINE_CHECK_TIMEOUT_S, check=True
        )
        reasons = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise CannotLaunch(f"whether the engine {launch['model_source']} fits here cannot be told: {error}") from error
    if reasons:
        raise CannotLaunch(
            f"the engine {launch['model_source']} cannot run here: {'; '.join(reasons)}. Build it again with "
            "`enginehouse build`"
        )


def interpreter_of(server: str) -> str:
    """The Python that a program names in its first line; ours where it names none."""
    with Path(server).open("rb") as file:
        first = file.readline(1024).decode("utf-8", "replace").strip()
    return first[2:] if first.startswith("#!/") and " " not in first else sys.executable


def check_model(model_source: str) -> None:
    """
    Raises:
        CannotLaunch: it is a path, and no model folder is there.
    """
    path = Path(model_source)
    if not path.is_absolute() and not model_source.startswith(("./", "../", "~")):
        return  # an id on the hub, perhaps
    if not path.is_dir():
        raise CannotLaunch(f"no model at {model_source}: there is no such folder")
    if not (path / "config.json").is_file():
        raise CannotLaunch(f"no model at {model_source}: the folder has no config.json")


def arguments(launch: Launch, known: frozenset[str], config_file: str) -> list[str]:
    """
    The server's command line, with the options that it knows.

    Raises:
        CannotLaunch: it lacks one that is needed.
    """
    words = ["serve", launch["model_source"], "--host", launch["host"], "--port", str(launch["port"])]
    config = next((name for name in ("--config", "--extra_llm_api_options") if name in known), None)
    if config is None:
        raise CannotLaunch("this trtllm-serve has neither --config nor --extra_llm_api_options: it is older than 1.0")
    words += [config, config_file]
    if is_compiled(launch["model_source"]):
        if "--backend" not in known:
            raise CannotLaunch(
                f"{launch['model_source']} is a compiled engine, and this trtllm-serve takes none any more"
            )
        if launch["tokenizer"] is None:
            raise CannotLaunch("tokenizer_source must be set: a compiled engine has no tokenizer; name its checkpoint")
        words += ["--backend", "tensorrt"]
    if "--served_model_name" in known:
        words += ["--served_model_name", launch["model"]]
    wanted = {
        "--tokenizer": (launch["tokenizer"], "tokenizer_source"),
        "--tool_parser": (launch["tool_parser"], "tool_call_parser"),
        "--chat_template": (launch["chat_template"], "chat_template"),
    }
    for option, (value, setting) in wanted.items():
        if value is None:
            continue
        if option not in known:
            raise CannotLaunch(f"{setting} is set, but this trtllm-serve has no option {option}")
        words += [option, value]
    return words + _checked(launch["extra_args"], known)


def _checked(extra_args: list[str], known: frozenset[str]) -> list[str]:
    for word in extra_args:
        name = word.partition("=")[0]
        if name.startswith("--") and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            advice = f"; did you mean {near[0]}?" if near else ""
            raise CannotLaunch(f"extra_args: this trtllm-serve has no option {name}{advice}")
    return list(extra_args)


def write_config(llm_args: dict[str, Any]) -> str:
    """The file for `--config`, readable by us alone: JSON is YAML. The system's cleaning of /tmp removes it later."""
    descriptor, path = tempfile.mkstemp(prefix="enginehouse-trtllm-", suffix=".yaml")
    with os.fdopen(descriptor, "w") as file:
        json.dump(llm_args, file, indent=1)
    return path


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(PARENT_LAUNCHERS)}


def wait_for_gpu_memory() -> None:
    """
    Waits until the memory in use on our GPUs has stopped falling: a predecessor that was killed may still hold it.

    Not until it is free: somebody else may rightly use a part of it.
    """
    deadline = time.monotonic() + GPU_MEMORY_TIMEOUT_S
    before = _gpu_memory_in_use()
    while before and time.monotonic() < deadline:
        time.sleep(GPU_MEMORY_POLL_S)
        now = _gpu_memory_in_use()
        if now >= before:
            return
        print(f"waiting for GPU memory of a predecessor: {before} MiB in use", file=sys.stderr)  # noqa: T201
        before = now


def _gpu_memory_in_use() -> int:
    """In MiB, over the GPUs that CUDA_VISIBLE_DEVICES names, or all; 0 where nobody knows."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    command = [program, "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible:
        command.append(f"--id={visible}")
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(int(line) for line in answer.stdout.split() if line.isdigit())


def main() -> NoReturn:
    launch: Launch = json.loads(os.environ.pop("ENGINEHOUSE_ENGINE"))
    try:
        check_model(launch["model_source"])
        server = find_server(launch["interpreter"])
        if is_compiled(launch["model_source"]):
            # Sooner than the server is asked for its options, which may take minutes.
            check_compiled_engine(launch, server)
        known = known_options(server)
        llm_args = launch["llm_args"]
        if is_compiled(launch["model_source"]):
            llm_args = {name: value for name, value in llm_args.items() if name not in TORCH_ONLY}
        words = arguments(launch, known, write_config(llm_args))
    except CannotLaunch as error:
        sys.exit(str(error))
    wait_for_gpu_memory()
    os.execve(server, [server, *words], clean_environment())  # noqa: S606  no shell is wanted


if __name__ == "__main__":
    main()
