"""
What an environment of TensorRT-LLM is, as one line of JSON. Run by path with that environment's interpreter; needs the
standard library only.

With `--quick` nothing is imported: what the packages' metadata and nvidia-smi tell, in a tenth of a second. Without, a
package that has no metadata is asked itself, and torch where there is no nvidia-smi. Importing them takes minutes.
"""

import importlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

NVIDIA_SMI_TIMEOUT_S = 20.0


def version_of(package: str, *, is_quick: bool) -> "str | None":
    """None: it is not installed, or nobody can tell without importing it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        pass
    if is_quick:
        return None
    try:
        return str(importlib.import_module(package).__version__)
    except Exception as error:  # noqa: BLE001  whatever a package of others raises, it is of no use here
        print(f"{package} cannot be imported: {error}", file=sys.stderr)  # noqa: T201
        return None


def program(name: str) -> "str | None":
    """A program of this environment: beside the interpreter, or on the PATH."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.is_file() else shutil.which(name)


def gpus(*, is_quick: bool) -> "list[dict[str, object]] | None":
    """Those that CUDA_VISIBLE_DEVICES names, or all: `name`, `sm` (90 for 9.0), `free_bytes`. None: nobody can tell."""
    smi = shutil.which("nvidia-smi")
    if smi is None:
        return None if is_quick else _gpus_by_torch()
    command = [smi, "--query-gpu=name,compute_cap,memory.free", "--format=csv,noheader,nounits"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        if visible in ("", "-1", "NoDevFiles"):
            return []
        command.append(f"--id={visible}")
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=NVIDIA_SMI_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"{smi}: {error}", file=sys.stderr)  # noqa: T201
        return None
    if answer.returncode != 0:
        print(answer.stdout.strip() or answer.stderr.strip(), file=sys.stderr)  # noqa: T201
        return None
    try:
        return [_gpu(line) for line in answer.stdout.splitlines() if line.strip()]
    except ValueError:
        print(f"{smi} said what cannot be read: {answer.stdout.strip()}", file=sys.stderr)  # noqa: T201
        return None


def _gpu(line: str) -> "dict[str, object]":
    name, capability, free_mib = (part.strip() for part in line.rsplit(",", 2))
    return {"name": name, "sm": int(capability.replace(".", "")), "free_bytes": int(free_mib) * 1024**2}


def _gpus_by_torch() -> "list[dict[str, object]] | None":
    try:
        cuda = importlib.import_module("torch").cuda
        found = []
        for index in range(cuda.device_count()):
            major, minor = cuda.get_device_capability(index)
            free_bytes = cuda.mem_get_info(index)[0]
            found.append({"name": cuda.get_device_name(index), "sm": major * 10 + minor, "free_bytes": int(free_bytes)})
    except Exception as error:  # noqa: BLE001  as above
        print(f"torch does not tell which GPUs are here: {error}", file=sys.stderr)  # noqa: T201
        return None
    return found


def main() -> None:
    # Our folder is first on the path, and its names are no business of the packages that may be imported.
    sys.path[:] = [entry for entry in sys.path if entry != str(Path(__file__).parent)]
    is_quick = "--quick" in sys.argv[1:]
    found = {
        "tensorrt_llm": version_of("tensorrt_llm", is_quick=is_quick),
        "tensorrt": version_of("tensorrt", is_quick=is_quick),
        "trtllm_build": program("trtllm-build"),
        "gpus": gpus(is_quick=is_quick),
    }
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main()
