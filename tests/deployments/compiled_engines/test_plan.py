"""What is built, by which command lines."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from trtllm_build_environment import BuildEnvironment, make_weights

from deployments.compiled_engines.checkpoint import read_checkpoint
from deployments.compiled_engines.errors import CompiledEngineError
from deployments.compiled_engines.plan import Step, Tools, plan
from deployments.compiled_engines.recipe import Recipe


@pytest.fixture
def tools(trtllm: BuildEnvironment) -> Tools:
    return Tools("/py", "/trtllm-build", trtllm.examples)


def steps(tools: Tools, source: Path, **settings: Any) -> list[Step]:
    recipe = Recipe(source=str(source), **settings)
    return list(plan(recipe, read_checkpoint(source), tools, Path("/work")))


def test_weights_are_converted_by_their_familys_script(tools: Tools, weights: Path) -> None:
    """And compiled with the limits that were given; others are left to the tool."""
    convert, build = steps(tools, weights, tensor_parallel_size=2, workers=2, max_batch_size=8, max_seq_len=4096)
    script = str(tools.examples_folder / "models/core/llama/convert_checkpoint.py")
    parallel = ["--tp_size", "2", "--pp_size", "1", "--workers", "2"]

    assert ["/py", script, "--model_dir", str(weights), "--output_dir", "/work/converted", "--dtype", "auto"] == list(
        convert.argv[:8]
    )
    assert parallel == list(convert.argv[8:])
    assert ("config.json", "rank0.safetensors", "rank1.safetensors") == convert.outputs
    limits = ("--max_batch_size", "8", "--max_seq_len", "4096")
    paths = ("--checkpoint_dir", "/work/converted", "--output_dir", "/work/engine")
    assert ("/trtllm-build", *paths, "--workers", "2", *limits) == build.argv


def test_gemmas_script_has_options_of_its_own(tools: Tools, tmp_path: Path) -> None:
    """It divides by width only, and says world size."""
    convert, _ = steps(tools, make_weights(tmp_path / "gemma", architecture="Gemma2ForCausalLM"))

    assert ("--ckpt-type", "hf", "--world-size", "1") == convert.argv[-4:]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"quantization": "fp8"}, ["--qformat", "fp8", "--dtype", "auto", "--tp_size", "1", "--pp_size", "1"]),
        (
            {"kv_cache_dtype": "int8", "calibration_size": 64, "calibration_data": "/texts"},
            ["--kv_cache_dtype", "int8", "--calib_size", "64", "--calib_dataset", "/texts"],
        ),
    ],
)
def test_quantized_weights_go_through_quantize(
    tools: Tools, weights: Path, settings: dict[str, Any], expected: list[str]
) -> None:
    """A quantized KV cache alone goes there, too: it is calibrated."""
    quantize, build = steps(tools, weights, **settings)

    assert str(tools.examples_folder / "quantization/quantize.py") == quantize.argv[1]
    assert expected == list(quantize.argv[-len(expected) :])
    assert "/work/quantized" == build.argv[2]


def test_quantized_weights_are_not_quantized_again(tools: Tools, weights: Path) -> None:
    """Their configuration says by what they were."""
    (weights / "config.json").write_text(
        '{"architectures": ["LlamaForCausalLM"], "quantization_config": {"quant_method": "awq"}}'
    )
    with pytest.raises(CompiledEngineError, match=r"is quantized already \(awq\): build it without --quantization"):
        steps(tools, weights, quantization="fp8")


@pytest.mark.parametrize(
    ("architecture", "settings", "message"),
    [
        ("NewForCausalLM", {}, "no convert_checkpoint.py is known for the architecture NewForCausalLM"),
        ("PhiForCausalLM", {"pipeline_parallel_size": 2}, "phi cannot be built with --pipeline-parallel-size above 1"),
        ("Qwen2ForCausalLM", {}, "models/core/qwen/convert_checkpoint.py: name the folder `examples`"),
    ],
)
def test_what_has_no_script_is_refused(
    tools: Tools, tmp_path: Path, architecture: str, settings: dict[str, Any], message: str
) -> None:
    """By architecture, by what its script can, and by the script that is not there."""
    source = make_weights(tmp_path / "other", architecture=architecture)
    with pytest.raises(CompiledEngineError) as caught:
        steps(tools, source, **settings)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_input_len": 4096, "max_seq_len": 4096}, "must be below max_seq_len, 4096"),
        ({"workers": 2}, "there are 1 ranks to build"),
        ({"calibration_size": 8, "quantization": "int4_wo"}, "nothing is calibrated for quantization int4_wo"),
        ({"extra_build_args": ("--output_dir=/x",)}, "--output_dir is Enginehouse's own; use OUTPUT"),
        ({"extra_build_args": ("--max-seq-len", "8")}, "--max_seq_len is Enginehouse's own; use --max-seq-len"),
        ({"quantization": "int3"}, "Input should be"),
        ({"max_bach_size": 3}, "Extra inputs are not permitted"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(settings: dict[str, Any], message: str) -> None:
    """Before anything runs."""
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate({"source": "/m", **settings})

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "the folder has no config.json"),
        ({"config.json": "{"}, "config.json cannot be read"),
        ({"config.json": "[]"}, "is not a JSON object"),
        ({"config.json": "{}"}, "names no architectures"),
        ({"config.json": '{"architectures": ["A"]}'}, "has no weights"),
    ],
)
def test_a_folder_that_is_no_checkpoint_is_told(tmp_path: Path, files: dict[str, str], message: str) -> None:
    """With what it lacks."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(CompiledEngineError) as caught:
        read_checkpoint(tmp_path)

    assert message in str(caught.value)
