"""
The process of the llama.cpp engine: run by path, needs xllamacpp and the standard library only.

Its settings come as JSON in ENGINEHOUSE_ENGINE; `LlamaCppEngine.command` writes them.
"""

import importlib
import importlib.util
import json
import os
import signal
import struct
import sys
from pathlib import Path
from typing import BinaryIO, TypedDict

PROMPT_CACHE_MIB = 256
"""Bound on the prompts' states that llama.cpp keeps in memory beside the KV cache. Its own default is 8 GiB."""

LOG_WARNINGS = 2
"""llama.cpp's verbosity. From 3 on it writes five lines a request."""


class Launch(TypedDict):
    model: str
    model_source: str
    max_model_len: int
    max_num_seqs: int
    num_threads: int | None
    num_gpu_layers: int
    host: str
    port: int
    secret: str


class BadWeightsError(Exception):
    """The weights are missing or cannot be used; the message says which and why."""


def find_weights(model_source: str) -> Path:
    """
    The GGUF file that `model_source` names.

    A package is found without importing it: weights packages import engines that need not be installed.

    Raises:
        BadWeightsError: there is none, or a package holds more than one.
    """
    scheme, _, package = model_source.partition(":")
    if scheme != "package":
        path = Path(model_source)
        if not path.is_file():
            raise BadWeightsError(f"no weights at {path}: there is no such file")
        return path
    if not package.isidentifier():  # a dotted name would import its parents
        raise BadWeightsError(f"{model_source}: after `package:` comes the name of a top-level package")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise BadWeightsError(f"no weights: the package {package} is not installed for {sys.executable}")
    found = sorted(path for folder in spec.submodule_search_locations for path in Path(folder).glob("*.gguf"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise BadWeightsError(f"the package {package} must hold exactly one GGUF file, but holds: {names}")
    return found[0]


_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9


def _read_scalar(file: BinaryIO, code: str) -> int | float | bool:
    size = struct.calcsize(code)
    data = file.read(size)
    if len(data) < size:
        raise BadWeightsError("it ends within its header")
    value: int | float | bool = struct.unpack(f"<{code}", data)[0]
    return value


def _read_string(file: BinaryIO) -> str:
    return file.read(int(_read_scalar(file, "Q"))).decode(errors="replace")


def _read_value(file: BinaryIO, kind: int) -> int | float | bool | str | None:
    """One metadata value; arrays are skipped and give None."""
    if kind == _STRING:
        return _read_string(file)
    if kind != _ARRAY:
        if kind not in _SCALARS:
            raise BadWeightsError(f"its header has a value of unknown type {kind}")
        return _read_scalar(file, _SCALARS[kind])
    kind, length = int(_read_scalar(file, "I")), int(_read_scalar(file, "Q"))
    if kind in _SCALARS:
        file.seek(length * struct.calcsize(_SCALARS[kind]), os.SEEK_CUR)
    else:
        for _ in range(length):
            _read_value(file, kind)
    return None


def _context_length(file: BinaryIO) -> int | None:
    if file.read(4) != b"GGUF":
        raise BadWeightsError("it is not a GGUF file")
    _version, _num_tensors = _read_scalar(file, "I"), _read_scalar(file, "Q")
    for _ in range(int(_read_scalar(file, "Q"))):
        key = _read_string(file)
        value = _read_value(file, int(_read_scalar(file, "I")))
        if key.endswith(".context_length") and isinstance(value, int):
            return value
    return None


def trained_context(path: Path) -> int | None:
    """
    The context that the model was trained for, in tokens; None where the file does not say.

    Raises:
        BadWeightsError: it is no GGUF file, or its header is damaged.

    Source:
        https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
    """
    try:
        with path.open("rb") as file:
            return _context_length(file)
    except (OSError, BadWeightsError) as error:
        raise BadWeightsError(f"cannot use the weights {path}: {error}") from error


def checked_weights(launch: Launch) -> Path:
    """
    The weights, known to allow `max_model_len`: llama.cpp would quietly give each slot less.

    Raises:
        BadWeightsError: they do not.
    """
    path = find_weights(launch["model_source"])
    trained = trained_context(path)
    if trained is not None and trained < launch["max_model_len"]:
        raise BadWeightsError(
            f"max_model_len is {launch['max_model_len']}, but {path.name} was trained for a context of {trained} tokens"
        )
    return path


def serve(launch: Launch, weights: Path) -> None:
    """Serves until a signal ends the process: SIGTERM does so at once, since nothing here handles it."""
    xllamacpp = importlib.import_module("xllamacpp")  # after the checks, whose messages are clearer
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {launch["model"]}
    params.hostnames = [launch["host"]]
    params.port = launch["port"]
    params.api_keys = [launch["secret"]]
    # The context is divided among the slots; `kv_unified` would let one slot take another's share.
    params.n_parallel = launch["max_num_seqs"]
    params.n_ctx = launch["max_model_len"] * launch["max_num_seqs"]
    params.kv_unified = False
    params.fit_params = False  # it may lower n_ctx to what fits the memory; failing is better than less
    params.ctx_shift = False  # a full context ends the answer instead of forgetting the prompt
    params.n_gpu_layers = launch["num_gpu_layers"]
    if launch["num_threads"] is not None:
        params.cpuparams.n_threads = launch["num_threads"]
        params.cpuparams_batch.n_threads = launch["num_threads"]
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.endpoint_metrics = True
    params.endpoint_slots = True
    params.sse_ping_interval = -1  # keeping the client's connection alive is the router's job
    params.ui = False
    params.offline = True
    params.verbosity = LOG_WARNINGS
    # The server lives as long as the object; keeping it in a frame that never returns keeps it.
    server = xllamacpp.Server(params)
    print(f"llama.cpp serves {launch['model']} ({weights.name}) at {server.listening_address}", flush=True)  # noqa: T201  the log
    signal.pause()


def main() -> None:
    launch: Launch = json.loads(os.environ.pop("ENGINEHOUSE_ENGINE"))
    try:
        serve(launch, checked_weights(launch))
    except BadWeightsError as error:
        sys.exit(f"llama.cpp cannot start: {error}")
    except ModuleNotFoundError as error:
        sys.exit(f"llama.cpp cannot start: {error.name} is not installed for {sys.executable}")
    except RuntimeError as error:  # xllamacpp's only error; llama.cpp's own lines above it say why
        sys.exit(f"llama.cpp cannot start with {launch['model_source']} at {launch['host']}:{launch['port']}: {error}")


if __name__ == "__main__":
    main()
