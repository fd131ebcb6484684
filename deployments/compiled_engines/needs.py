"""What a build needs of disk, memory and GPU, and what is free. Estimates: nothing was measured on the real thing."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from deployments.compiled_engines.checkpoint import Checkpoint
from deployments.compiled_engines.recipe import Recipe

GIB = 1024**3

BITS_PER_WEIGHT = {
    "fp8": 8.0,
    "fp8_pc_pt": 8.0,
    "int8_sq": 8.0,
    "int8_wo": 8.0,
    "nvfp4": 4.5,
    "int4_awq": 4.25,
    "w4a8_awq": 4.25,
    "int4_wo": 4.0,
    "full_prec": 16.0,
}
"""With the scales of the blocks: 8 bits for 16 weights of nvfp4, 32 for 128 of AWQ."""

KEPT_RATIO = 0.15
"""Share, 0 to 1, of weights that quantization leaves at 16 bits: embeddings and head. They are 13 % of Llama-3.1-8B and
less of larger models."""

SLACK = 1.1
SPARE_BYTES = 2 * GIB
"""Beside the weights: a CUDA context and TensorRT's workspace, logs and configuration, the interpreter."""

MIN_SM = {"fp8": 89, "fp8_pc_pt": 89, "w4a8_awq": 89, "nvfp4": 100}
"""The first GPUs whose arithmetic has the format: Ada and Hopper for FP8, Blackwell for FP4."""


@dataclass(frozen=True)
class Needs:
    """In bytes; `gpu_bytes` on each of `num_gpus` GPUs."""

    disk_bytes: int
    memory_bytes: int
    gpu_bytes: int
    num_gpus: int
    min_sm: int


@dataclass(frozen=True)
class Free:
    """
    Attributes:
        memory_bytes: None where the system does not tell.
        gpus: name, SM and free bytes of each; None where nobody can tell.
    """

    disk_bytes: int
    disk_folder: Path
    memory_bytes: int | None
    gpus: tuple[tuple[str, int, int], ...] | None


def needs(recipe: Recipe, checkpoint: Checkpoint, finished: frozenset[str] = frozenset()) -> Needs:
    """
    For what is still to be done.

    Args:
        finished: names of the steps whose output is on the disk already.
    """
    num_weights = checkpoint.weight_bytes / checkpoint.bytes_per_weight
    kept = num_weights * 2  # float32 becomes float16
    if recipe.quantization is None or checkpoint.quantized_by is not None:
        converted = float(checkpoint.weight_bytes) if checkpoint.quantized_by else kept
    else:
        quantized = num_weights * BITS_PER_WEIGHT[recipe.quantization] / 8
        converted = KEPT_RATIO * kept + (1 - KEPT_RATIO) * quantized
    has_converted = bool(finished & {"converted", "quantized"})
    rank_bytes = converted / recipe.world_size
    engine_memory = 2 * rank_bytes * recipe.workers  # weights as they were read, and the engine that is written
    loaded = 0.0 if has_converted else float(checkpoint.weight_bytes)
    gpu_load = loaded if recipe.is_quantized else 0.0
    return Needs(
        disk_bytes=round((converted if has_converted else 2 * converted) * SLACK) + SPARE_BYTES,
        memory_bytes=round(max(loaded, engine_memory) * SLACK) + SPARE_BYTES,
        gpu_bytes=round(max(rank_bytes, gpu_load / recipe.workers) * SLACK) + SPARE_BYTES,
        num_gpus=recipe.workers,
        min_sm=MIN_SM.get(recipe.quantization or "", 0),
    )


def shortages(need: Needs, free: Free) -> list[str]:
    """What is missing, with both numbers; empty when there is enough, or where nobody can tell."""
    found = []
    if need.disk_bytes > free.disk_bytes:
        found.append(
            f"about {_gb(need.disk_bytes)} of disk are needed at {free.disk_folder}, {_gb(free.disk_bytes)} are free"
        )
    if free.memory_bytes is not None and need.memory_bytes > free.memory_bytes:
        found.append(
            f"about {_gb(need.memory_bytes)} of main memory are needed, {_gb(free.memory_bytes)} are available"
        )
    return found + ([] if free.gpus is None else _gpu_shortages(need, free.gpus))


def _gpu_shortages(need: Needs, gpus: tuple[tuple[str, int, int], ...]) -> list[str]:
    if not gpus:
        return ["a GPU is needed, of the kind that will serve, and none is visible here"]
    if len(gpus) < need.num_gpus:
        return [f"{need.num_gpus} workers need as many GPUs, {len(gpus)} are visible here"]
    found = []
    for name, sm, free_bytes in gpus[: need.num_gpus]:
        if sm < need.min_sm:
            found.append(f"this quantization needs a GPU of SM {need.min_sm} or later, {name} is SM {sm}")
        if free_bytes < need.gpu_bytes:
            found.append(f"about {_gb(need.gpu_bytes)} of GPU memory are needed, {name} has {_gb(free_bytes)} free")
    return list(dict.fromkeys(found))


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"


def find_free(folder: Path, gpus: tuple[tuple[str, int, int], ...] | None) -> Free:
    """
    Args:
        folder: exists; the build is written there.
    """
    return Free(shutil.disk_usage(folder).free, folder, _available_memory(), gpus)


def _available_memory() -> int | None:
    """Without the limit of a container, which counts what the page cache holds as used."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
