"""From a recipe to command lines, in order."""

from dataclasses import dataclass
from pathlib import Path

from deployments.compiled_engines.checkpoint import Checkpoint
from deployments.compiled_engines.errors import CompiledEngineError
from deployments.compiled_engines.recipe import Recipe

FAMILIES = {
    "CohereForCausalLM": "commandr",
    "GPT2LMHeadModel": "gpt",
    "GPTBigCodeForCausalLM": "gpt",
    "Gemma2ForCausalLM": "gemma",
    "Gemma3ForCausalLM": "gemma",
    "GemmaForCausalLM": "gemma",
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "llama",
    "MixtralForCausalLM": "llama",
    "Phi3ForCausalLM": "phi",
    "PhiForCausalLM": "phi",
    "PhiMoEForCausalLM": "phi",
    "Qwen2ForCausalLM": "qwen",
    "Qwen2MoeForCausalLM": "qwen",
    "Qwen3ForCausalLM": "qwen",
    "Qwen3MoeForCausalLM": "qwen",
    "Starcoder2ForCausalLM": "gpt",
}
"""Whose `convert_checkpoint.py` reads which architecture: folders of TensorRT-LLM's examples/models/core, 1.0 to 1.2.
Only families whose options have been read are here."""

WITHOUT_PIPELINE = frozenset({"gemma", "phi"})
"""Families whose script divides a model by layers' width only."""


@dataclass(frozen=True)
class Tools:
    """Where the programs of TensorRT-LLM are."""

    interpreter: str
    trtllm_build: str
    examples_folder: Path


@dataclass(frozen=True)
class Step:
    """
    Attributes:
        name: of the step, its log and its output folder.
        outputs: files that it leaves in that folder when all went well.
    """

    name: str
    argv: tuple[str, ...]
    outputs: tuple[str, ...]


def plan(recipe: Recipe, checkpoint: Checkpoint, tools: Tools, work_folder: Path) -> tuple[Step, ...]:
    """
    The steps, each with its output in `work_folder` under its own name; the last one's is the engine.

    Raises:
        CompiledEngineError: this checkpoint cannot be built so.
    """
    first = (_quantize if recipe.is_quantized else _convert)(recipe, checkpoint, tools, work_folder)
    words = [tools.trtllm_build, "--checkpoint_dir", str(work_folder / first.name)]
    words += ["--output_dir", str(work_folder / "engine"), "--workers", str(recipe.workers)]
    for name in ("max_batch_size", "max_input_len", "max_seq_len", "max_num_tokens"):
        value = getattr(recipe, name)
        if value is not None:
            words += [f"--{name}", str(value)]
    engines = tuple(f"rank{rank}.engine" for rank in range(recipe.world_size))
    return first, Step("engine", (*words, *recipe.extra_build_args), ("config.json", *engines))


def _quantize(recipe: Recipe, checkpoint: Checkpoint, tools: Tools, work_folder: Path) -> Step:
    if checkpoint.quantized_by is not None:
        raise CompiledEngineError(
            f"{checkpoint.folder} is quantized already ({checkpoint.quantized_by}): build it without --quantization "
            "and --kv-cache-dtype, or take the original weights"
        )
    script = tools.examples_folder / "quantization" / "quantize.py"
    words = [tools.interpreter, str(_existing(script)), "--model_dir", recipe.source]
    words += ["--output_dir", str(work_folder / "quantized"), "--qformat", recipe.quantization or "full_prec"]
    words += ["--dtype", recipe.dtype]
    words += ["--tp_size", str(recipe.tensor_parallel_size), "--pp_size", str(recipe.pipeline_parallel_size)]
    if recipe.kv_cache_dtype != "auto":
        words += ["--kv_cache_dtype", recipe.kv_cache_dtype]
    if recipe.calibration_size is not None:
        words += ["--calib_size", str(recipe.calibration_size)]
    if recipe.calibration_data is not None:
        words += ["--calib_dataset", recipe.calibration_data]
    return Step("quantized", tuple(words), _checkpoint_files(recipe))


def _convert(recipe: Recipe, checkpoint: Checkpoint, tools: Tools, work_folder: Path) -> Step:
    family = FAMILIES.get(checkpoint.architecture)
    if family is None:
        raise CompiledEngineError(
            f"no convert_checkpoint.py is known for the architecture {checkpoint.architecture}: try --quantization "
            f"full_prec, which goes through quantize.py. Known are: {', '.join(sorted(FAMILIES))}"
        )
    if family in WITHOUT_PIPELINE and recipe.pipeline_parallel_size > 1:
        raise CompiledEngineError(f"the models of {family} cannot be built with --pipeline-parallel-size above 1")
    script = tools.examples_folder / "models" / "core" / family / "convert_checkpoint.py"
    words = [tools.interpreter, str(_existing(script)), "--model_dir", recipe.source]
    words += ["--output_dir", str(work_folder / "converted"), "--dtype", recipe.dtype]
    if family == "gemma":  # its script has other options than all the others
        words += ["--ckpt-type", "hf", "--world-size", str(recipe.tensor_parallel_size)]
    else:
        words += ["--tp_size", str(recipe.tensor_parallel_size), "--pp_size", str(recipe.pipeline_parallel_size)]
        words += ["--workers", str(recipe.workers)]
    return Step("converted", tuple(words), _checkpoint_files(recipe))


def _checkpoint_files(recipe: Recipe) -> tuple[str, ...]:
    return ("config.json", *(f"rank{rank}.safetensors" for rank in range(recipe.world_size)))


def _existing(script: Path) -> Path:
    if not script.is_file():
        raise CompiledEngineError(
            f"there is no {script}: name the folder `examples` of TensorRT-LLM's source, of the same version, with "
            "--examples-folder"
        )
    return script
