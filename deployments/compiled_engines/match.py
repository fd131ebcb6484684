"""
Whether a compiled engine fits where it is to run.

Also a script, which a replica's launcher runs by path with the engine's interpreter: `match.py FOLDER TP PP` prints the
reasons against the folder as a JSON list. So it needs the standard library only, and of ours what lies beside it.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

MANIFEST = "manifest.json"
FORMAT: Final = 1
"""Of the manifest. A later one is refused: what it says may matter."""

PROBE = Path(__file__).with_name("probe.py")
PROBE_TIMEOUT_S = 60.0


class Gpu(NamedTuple):
    name: str
    sm: int
    """Compute capability without its point: 90 for Hopper's 9.0."""


class Built(NamedTuple):
    """What an engine was built for; None where its folder does not tell."""

    tensorrt_llm: "str | None"
    tensorrt: "str | None"
    gpu: "Gpu | None"
    tensor_parallel_size: "int | None"
    pipeline_parallel_size: "int | None"
    files: "dict[str, int]"
    """Sizes in bytes by name."""


class Runtime(NamedTuple):
    """Where it is to run; None where nobody can tell."""

    tensorrt_llm: "str | None"
    tensorrt: "str | None"
    gpus: "tuple[Gpu, ...] | None"
    tensor_parallel_size: int
    pipeline_parallel_size: int


class UnreadableError(Exception):
    """The folder does not say what it is in a form that can be read."""


def read_built(folder: Path) -> Built:
    """
    By its manifest; without one, by what `trtllm-build` wrote.

    Raises:
        UnreadableError: neither can be read.
    """
    try:
        return _by_manifest(folder) if (folder / MANIFEST).is_file() else _by_config(folder)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        name = MANIFEST if (folder / MANIFEST).is_file() else "config.json"
        raise UnreadableError(f"{name} is not as it was written ({type(error).__name__}: {error})") from error
    except OSError as error:
        raise UnreadableError(f"it cannot be read: {error}") from error


def _by_manifest(folder: Path) -> Built:
    written = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    if written["format"] != FORMAT:
        raise UnreadableError(f"{MANIFEST} has the format {written['format']}, and {FORMAT} is known")
    recipe, gpu = written["recipe"], written["gpu"]
    return Built(
        tensorrt_llm=str(written["tensorrt_llm"]),
        tensorrt=None if written["tensorrt"] is None else str(written["tensorrt"]),
        gpu=Gpu(str(gpu["name"]), int(gpu["sm"])),
        tensor_parallel_size=int(recipe["tensor_parallel_size"]),
        pipeline_parallel_size=int(recipe["pipeline_parallel_size"]),
        files={str(name): int(file["size_bytes"]) for name, file in written["files"].items()},
    )


def _by_config(folder: Path) -> Built:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    mapping = config.get("pretrained_config", {}).get("mapping") or {}
    version = config.get("version")
    return Built(
        tensorrt_llm=None if version is None else str(version),
        tensorrt=None,
        gpu=None,
        tensor_parallel_size=mapping.get("tp_size"),
        pipeline_parallel_size=mapping.get("pp_size"),
        files={},
    )


def reasons(built: Built, runtime: Runtime) -> "list[str]":
    """Why it cannot run there; empty where nothing speaks against it. What a side does not tell is not compared."""
    found = []
    for name, old, new in (
        ("TensorRT-LLM", built.tensorrt_llm, runtime.tensorrt_llm),
        ("TensorRT", built.tensorrt, runtime.tensorrt),
    ):
        if old is not None and new is not None and old != new:
            found.append(f"built for {name} {old}, this is {new}")
    return found + _gpu_reasons(built, runtime) + _parallel_reasons(built, runtime)


def _gpu_reasons(built: Built, runtime: Runtime) -> "list[str]":
    if built.gpu is None or runtime.gpus is None:
        return []
    others = [gpu for gpu in runtime.gpus if gpu.sm != built.gpu.sm]
    if not others:
        return []
    return [f"built for SM {built.gpu.sm} ({built.gpu.name}), this GPU is SM {others[0].sm} ({others[0].name})"]


def _parallel_reasons(built: Built, runtime: Runtime) -> "list[str]":
    wanted = (runtime.tensor_parallel_size, runtime.pipeline_parallel_size)
    given = (built.tensor_parallel_size, built.pipeline_parallel_size)
    if None in given or given == wanted:
        return []
    sizes = "tensor_parallel_size {} and pipeline_parallel_size {}"
    return [f"built for {sizes.format(*given)}, the model's settings say {wanted[0]} and {wanted[1]}"]


def file_reasons(folder: Path, sizes: "dict[str, int]") -> "list[str]":
    """Files that are missing, or of another size than was written. No content is read."""
    found = []
    for name, size_bytes in sorted(sizes.items()):
        path = folder / name
        if not path.is_file():
            found.append(f"{name} is missing")
        elif path.stat().st_size != size_bytes:
            found.append(f"{name} has {path.stat().st_size} bytes, {size_bytes} were written")
    return found


def read_runtime(probed: "dict[str, Any]", tensor_parallel_size: int, pipeline_parallel_size: int) -> Runtime:
    """From what `probe.py` printed."""
    gpus = probed["gpus"]
    return Runtime(
        probed["tensorrt_llm"],
        probed["tensorrt"],
        None if gpus is None else tuple(Gpu(gpu["name"], gpu["sm"]) for gpu in gpus),
        tensor_parallel_size,
        pipeline_parallel_size,
    )


def main() -> None:
    folder, tensor_parallel_size, pipeline_parallel_size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    try:
        built = read_built(folder)
    except UnreadableError as error:
        print(json.dumps([str(error)]))  # noqa: T201
        return
    command = [sys.executable, str(PROBE), "--quick"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=PROBE_TIMEOUT_S, check=True)
    runtime = read_runtime(json.loads(answer.stdout), tensor_parallel_size, pipeline_parallel_size)
    print(json.dumps(reasons(built, runtime) + file_reasons(folder, built.files)))  # noqa: T201


if __name__ == "__main__":
    main()
