"""What a build needs, and whether that is there."""

from pathlib import Path
from typing import Any

import pytest

from deployments.compiled_engines.checkpoint import Checkpoint
from deployments.compiled_engines.needs import SPARE_BYTES, Free, Needs, needs, shortages
from deployments.compiled_engines.recipe import Recipe

GB = 10**9
H100 = ("H100", 90, 79 * GB)


def checkpoint(**changes: Any) -> Checkpoint:
    known: dict[str, Any] = {"quantized_by": None, "weight_bytes": 16 * GB, "bytes_per_weight": 2}
    return Checkpoint(Path("/m"), "LlamaForCausalLM", fingerprint="f", **{**known, **changes})


def recipe(**settings: Any) -> Recipe:
    return Recipe(source="/m", **settings)


def free(**changes: Any) -> Free:
    plenty: dict[str, Any] = {"disk_bytes": 10**13, "memory_bytes": 10**13, "gpus": (H100, H100)}
    return Free(disk_folder=Path("/out"), **{**plenty, **changes})


def test_a_plain_build_writes_the_weights_twice() -> None:
    """Converted, and as the engine."""
    need = needs(recipe(), checkpoint())

    assert round(2 * 16 * GB * 1.1) + SPARE_BYTES == need.disk_bytes


def test_what_is_finished_needs_no_more_room() -> None:
    """Its output takes its room already."""
    need = needs(recipe(), checkpoint(), frozenset({"converted"}))

    assert round(16 * GB * 1.1) + SPARE_BYTES == need.disk_bytes


def test_float32_becomes_half() -> None:
    """The tools write 16 bits a weight."""
    full = needs(recipe(), checkpoint(weight_bytes=32 * GB, bytes_per_weight=4))

    assert needs(recipe(), checkpoint()).disk_bytes == full.disk_bytes


def test_fewer_bits_need_less_disk() -> None:
    """In the order of the formats' bits."""
    formats = ["full_prec", "fp8", "nvfp4", "int4_awq", "int4_wo"]
    sizes = [needs(recipe(quantization=name), checkpoint()).disk_bytes for name in formats]

    assert sorted(sizes, reverse=True) == sizes


def test_ranks_divide_the_gpu_memory_of_compiling() -> None:
    """Each worker compiles one rank at a time."""
    need = needs(recipe(tensor_parallel_size=4, workers=2), checkpoint())

    assert (round(4 * GB * 1.1) + SPARE_BYTES, 2) == (need.gpu_bytes, need.num_gpus)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"disk_bytes": 4 * GB}, ["about 50.0 GB of disk are needed at /out, 4.0 GB are free"]),
        ({"memory_bytes": GB}, ["about 20.0 GB of main memory are needed, 1.0 GB are available"]),
        ({"memory_bytes": None, "gpus": None}, []),
        ({"gpus": ()}, ["a GPU is needed, of the kind that will serve, and none is visible here"]),
        ({"gpus": (H100,)}, ["2 workers need as many GPUs, 1 are visible here"]),
        (
            {"gpus": (H100, ("A10", 86, GB))},
            [
                "this quantization needs a GPU of SM 89 or later, A10 is SM 86",
                "about 10.0 GB of GPU memory are needed, A10 has 1.0 GB free",
            ],
        ),
    ],
)
def test_what_is_missing_is_told_with_both_numbers(changes: dict[str, Any], expected: list[str]) -> None:
    """Each shortage by itself; what nobody can tell is none."""
    need = Needs(disk_bytes=50 * GB, memory_bytes=20 * GB, gpu_bytes=10 * GB, num_gpus=2, min_sm=89)

    assert expected == shortages(need, free(**changes))
