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
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, Literal, TypedDict

PROMPT_CACHE_MIB = 256
"""Bound on the prompts' states that llama.cpp keeps in memory beside the KV cache. Its own default is 8 GiB."""

LOG_WARNINGS = 2
"""llama.cpp's verbosity. From 3 on it writes five lines a request."""


class Launch(TypedDict):
    model: str
    model_source: str
    task: Literal["generate", "embed", "rerank"]
    max_model_len: int
    max_num_seqs: int
    num_threads: int | None
    num_gpu_layers: int
    tensor_split: list[float]
    max_num_batched_tokens: int | None
    max_num_micro_batch_tokens: int | None
    flash_attention: bool | None
    kv_cache_type_k: str
    kv_cache_type_v: str
    chat_template: str | None
    pooling: Literal["mean", "cls", "last"] | None
    draft_model_source: str | None
    num_speculative_tokens: int
    host: str
    port: int
    secret: str


class CannotStartError(Exception):
    """Something that the settings name is missing or cannot be used; the message says what and why."""


class BadWeightsError(CannotStartError):
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


_FIM_KEYS = {f"ggml.{name}_token_id" for name in ("fim_pre", "fim_suf", "fim_mid", "prefix", "suffix", "middle")}
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


@dataclass(frozen=True)
class Header:
    """What a GGUF file says of its model. None and empty where it says nothing."""

    context_length: int | None
    """The context that the model was trained for, in tokens."""
    has_pooling: bool
    """Whether it says how a text's tokens become one vector."""
    tensors: frozenset[str]
    fim_token_ids: dict[str, int]
    """Of the tokens for filling in, by what they are called in the file: `pre`, or in older ones `prefix`."""
    architecture: str | None = None
    """As llama.cpp names it: `llama`, `qwen2`."""

    @property
    def can_rank(self) -> bool:
        """Whether there is a layer that makes a score of a query and a document."""
        return bool({"cls.weight", "cls.output.weight"} & self.tensors)


def _read_header(file: BinaryIO) -> Header:
    if file.read(4) != b"GGUF":
        raise BadWeightsError("it is not a GGUF file")
    _version, num_tensors = _read_scalar(file, "I"), int(_read_scalar(file, "Q"))
    values: dict[str, object] = {}
    for _ in range(int(_read_scalar(file, "Q"))):
        key = _read_string(file)
        values[key.partition(".")[2]] = _read_value(file, int(_read_scalar(file, "I")))
    tensors = []
    for _ in range(num_tensors):
        tensors.append(_read_string(file))
        num_dimensions = int(_read_scalar(file, "I"))
        file.seek(8 * num_dimensions + 4 + 8, os.SEEK_CUR)  # the dimensions, the type and the place
    length, kind = values.get("context_length"), values.get("architecture")
    ids = {
        key.removeprefix("ggml.").removeprefix("fim_").removesuffix("_token_id"): number
        for key, number in values.items()
        if key in _FIM_KEYS and isinstance(number, int)
    }
    return Header(
        length if isinstance(length, int) else None,
        "pooling_type" in values,
        frozenset(tensors),
        ids,
        kind if isinstance(kind, str) else None,
    )


def read_header(path: Path) -> Header:
    """
    Raises:
        BadWeightsError: it is no GGUF file, or its header is damaged.

    Source:
        https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
    """
    try:
        with path.open("rb") as file:
            return _read_header(file)
    except (OSError, BadWeightsError) as error:
        raise BadWeightsError(f"cannot use the weights {path}: {error}") from error


def checked_weights(launch: Launch) -> tuple[Path, Header]:
    """
    The weights, known to be for the task and to allow `max_model_len`: llama.cpp would quietly give each slot less,
    and make scores and vectors that mean nothing.

    Raises:
        BadWeightsError: they are not, or do not.
    """
    path = find_weights(launch["model_source"])
    header = read_header(path)
    trained = header.context_length
    if trained is not None and trained < launch["max_model_len"]:
        raise BadWeightsError(
            f"max_model_len is {launch['max_model_len']}, but {path.name} was trained for a context of {trained} tokens"
        )
    if launch["task"] == "rerank" and not header.can_rank:
        raise BadWeightsError(f"task is rerank, but {path.name} has no layer that ranks: it is no reranking model")
    return path, header


def serve(launch: Launch) -> None:
    """
    Serves until a signal ends the process: SIGTERM does so at once, since nothing here handles it.

    Raises:
        CannotStartError: what the settings name is missing or cannot be used.
    """
    weights, header = checked_weights(launch)
    draft = _checked_draft(launch["draft_model_source"])
    template = _read_template(launch["chat_template"])
    xllamacpp = importlib.import_module("xllamacpp")  # after the checks, whose messages are clearer
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {launch["model"]}
    params.hostnames = [launch["host"]]
    params.port = launch["port"]
    params.api_keys = [launch["secret"]]
    chosen = _sizes(xllamacpp, launch) | _devices(xllamacpp, launch) | _pooling(xllamacpp, launch, header)
    for name, value in chosen.items():
        setattr(params, name, value)
    if launch["num_threads"] is not None:
        params.cpuparams.n_threads = launch["num_threads"]
        params.cpuparams_batch.n_threads = launch["num_threads"]
    params.chat_template = template
    if draft is not None:
        guess = params.speculative
        guess.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
        guess.draft.mparams.path = str(draft)
        guess.draft.n_max = launch["num_speculative_tokens"]
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


def _sizes(xllamacpp: ModuleType, launch: Launch) -> dict[str, object]:
    defaults = xllamacpp.CommonParams()
    reads_whole_texts = launch["task"] != "generate"
    step = launch["max_num_batched_tokens"] or (launch["max_model_len"] if reads_whole_texts else defaults.n_batch)
    micro = launch["max_num_micro_batch_tokens"] or (step if reads_whole_texts else min(step, defaults.n_ubatch))
    sizes: dict[str, object] = {
        # The context is divided among the slots; `kv_unified` would let one slot take another's share. Where a text's
        # tokens become one vector there is no other way: over a divided cache, llama.cpp b11549 takes the mean of the
        # wrong tokens whenever two texts are computed in one step.
        "n_parallel": launch["max_num_seqs"],
        "n_ctx": launch["max_model_len"] * launch["max_num_seqs"],
        "kv_unified": reads_whole_texts,
        "kv_unified_per_slot": launch["max_model_len"] if reads_whole_texts else 0,
        "fit_params": False,  # it may lower n_ctx to what fits the memory; failing is better than less
        "ctx_shift": False,  # a full context ends the answer instead of forgetting the prompt
        "n_batch": step,
        "n_ubatch": micro,
        "cache_type_k": getattr(xllamacpp.ggml_type, f"GGML_TYPE_{launch['kv_cache_type_k'].upper()}"),
        "cache_type_v": getattr(xllamacpp.ggml_type, f"GGML_TYPE_{launch['kv_cache_type_v'].upper()}"),
    }
    if launch["flash_attention"] is not None:
        choice = "ENABLED" if launch["flash_attention"] else "DISABLED"
        sizes["flash_attn_type"] = getattr(xllamacpp.llama_flash_attn_type, f"LLAMA_FLASH_ATTN_TYPE_{choice}")
    return sizes


def _devices(xllamacpp: ModuleType, launch: Launch) -> dict[str, object]:
    """
    Raises:
        CannotStartError: layers are to be kept on GPUs that are not there. llama.cpp would take the CPU.
    """
    num_layers, shares = launch["num_gpu_layers"], launch["tensor_split"]
    gpus = [device["name"] for device in xllamacpp.get_device_info() if "GPU" in device["type"].name.rpartition("_")[2]]
    if num_layers and not gpus:
        raise CannotStartError(
            f"num_gpu_layers is {num_layers}, but xllamacpp finds no GPU: it was built without support for one, or "
            "the replica has none (num_gpus in ray_actor_options)"
        )
    if len(shares) > len(gpus):
        raise CannotStartError(f"tensor_split is for {len(shares)} GPUs, but xllamacpp finds {', '.join(gpus)}")
    devices: dict[str, object] = {"n_gpu_layers": num_layers}
    if shares:
        num_places = len(xllamacpp.CommonParams().tensor_split)
        devices["tensor_split"] = [*shares, *([0.0] * (num_places - len(shares)))]
    return devices


def _pooling(xllamacpp: ModuleType, launch: Launch, header: Header) -> dict[str, object]:
    if launch["task"] == "generate":
        return {}
    kind: str | None = launch["pooling"] or (None if header.has_pooling else "mean")
    if launch["task"] == "rerank":
        kind = "rank"
    if kind is None:
        return {"embedding": True}
    return {
        "embedding": True,
        "pooling_type": getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{kind.upper()}"),
    }


def _checked_draft(source: str | None) -> Path | None:
    """
    Raises:
        CannotStartError: the draft model is missing or cannot be used.
    """
    if source is None:
        return None
    try:
        path = find_weights(source)
        read_header(path)
    except BadWeightsError as error:
        raise CannotStartError(f"draft_model_source: {error}") from error
    return path


def _read_template(path: str | None) -> str:
    """
    The text of the chat template; empty for the model's own.

    Raises:
        CannotStartError: it cannot be read, or is empty.
    """
    if path is None:
        return ""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotStartError(f"cannot read the chat_template {path}: {error}") from error
    if not text.strip():
        raise CannotStartError(f"the chat_template {path} is empty")
    return text


def main() -> None:
    launch: Launch = json.loads(os.environ.pop("ENGINEHOUSE_ENGINE"))
    try:
        serve(launch)
    except CannotStartError as error:
        sys.exit(f"llama.cpp cannot start: {error}")
    except ModuleNotFoundError as error:
        sys.exit(f"llama.cpp cannot start: {error.name} is not installed for {sys.executable}")
    except RuntimeError as error:  # xllamacpp's only error; llama.cpp's own lines above it say why
        sys.exit(f"llama.cpp cannot start with {launch['model_source']} at {launch['host']}:{launch['port']}: {error}")


if __name__ == "__main__":
    main()
