"""`enginehouse build`: a compiled engine for versions of TensorRT-LLM that still take one."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, get_args

import click
from pydantic import ValidationError

from deployments.compiled_engines.construction import Order, construct
from deployments.compiled_engines.environment import find_environment
from deployments.compiled_engines.errors import CompiledEngineError
from deployments.compiled_engines.manifest import damages, read_manifest
from deployments.compiled_engines.recipe import Quantization, Recipe
from deployments.compiled_engines.versions import LAST_THAT_BUILDS, builds_engines

EXAMPLES_FOLDER = "/app/tensorrt_llm/examples"
"""Where NVIDIA's image has them."""

_OPTIONS = [
    click.option("--interpreter", help="Python of TensorRT-LLM. Default: that of the trtllm-build on the PATH."),
    click.option(
        "--examples-folder",
        type=click.Path(path_type=Path),
        default=EXAMPLES_FOLDER,
        show_default=True,
        help="The folder `examples` of TensorRT-LLM's source, of the installed version.",
    ),
    click.option(
        "--quantization", type=click.Choice(get_args(Quantization)), help="Default: weights are converted as they are."
    ),
    click.option(
        "--kv-cache-dtype",
        type=click.Choice(["auto", "fp8", "int8"]),
        default="auto",
        help="Precision of the KV cache.",
    ),
    click.option(
        "--dtype",
        type=click.Choice(["auto", "float16", "bfloat16", "float32"]),
        default="auto",
        help="Precision of what is not quantized; auto takes the checkpoint's.",
    ),
    click.option("--tensor-parallel-size", type=int, default=1, help="GPUs that share each layer."),
    click.option("--pipeline-parallel-size", type=int, default=1, help="Stages of consecutive layers."),
    click.option("--max-batch-size", type=int, help="Requests that run at once. Default: trtllm-build's."),
    click.option("--max-input-len", type=int, help="Tokens of the longest prompt. Default: trtllm-build's."),
    click.option("--max-seq-len", type=int, help="Tokens of prompt and completion. Default: the model's."),
    click.option("--max-num-tokens", type=int, help="Tokens of all requests in one step. Default: trtllm-build's."),
    click.option("--workers", type=int, default=1, help="Ranks that are built at once, each on a GPU of its own."),
    click.option("--calibration-size", type=int, help="Samples of text for quantization. Default: quantize.py's, 512."),
    click.option(
        "--calibration-data",
        help="Their data set: a folder, or a name on the hub. Default: quantize.py's, which it downloads.",
    ),
    click.option(
        "--build-arg",
        "extra_build_args",
        multiple=True,
        help="One more word for trtllm-build; paths absolute. Repeated for each.",
    ),
    click.option("--ignore-needs", is_flag=True, help="Build although less is free than is thought to be needed."),
    click.option(
        "--verify",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Build nothing: compare all that is in FOLDER, an engine built so, with its checksums.",
    ),
]


class _Stopped(BaseException):
    """Ctrl-C or SIGTERM. Not an Exception, so that nothing swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _all_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.argument("source", required=False)
@click.argument("output", required=False, type=click.Path(path_type=Path))
@_all_options
def build(**options: Any) -> None:  # noqa: ANN401 - click gives each by its name; Recipe has the types
    """
    Build a TensorRT-LLM engine OUTPUT from the Hugging Face checkpoint SOURCE: for TensorRT-LLM up to 1.3.0rc20, on a
    GPU of the kind that will serve. Later versions load checkpoints as they are, and so does 1.2.

    OUTPUT appears when it is complete. An interrupted or failed build goes on after its last finished step when the
    same command is given again. Never run on the real TensorRT-LLM: see the page on building engines.

    Exit code 0: built, was there already, or needs no building. 1: something is missing, or a tool failed. 2: wrong
    usage. 130: stopped by Ctrl-C.
    """
    verified = options.pop("verify")
    try:
        if verified is not None:
            _verify(verified)
        elif options["source"] is None or options["output"] is None:
            raise click.UsageError("SOURCE and OUTPUT are needed, or --verify FOLDER")
        else:
            with _stoppable():
                _build(options)
    except CompiledEngineError as error:
        raise click.ClickException(str(error)) from error


def _verify(folder: Path) -> None:
    manifest = read_manifest(folder)
    found = damages(folder, manifest)
    if found:
        raise CompiledEngineError(f"{folder} is damaged: {'; '.join(found)}")
    click.echo(
        f"{folder} is as it was written: {len(manifest.files)} files, for TensorRT-LLM {manifest.tensorrt_llm}, "
        f"SM {manifest.gpu.sm} ({manifest.gpu.name}), {manifest.world_size} GPU(s)"
    )


def _build(options: dict[str, Any]) -> None:
    output = Path(options.pop("output")).absolute()
    interpreter = _absolute(options.pop("interpreter"), is_program=True)
    options["calibration_data"] = _absolute(options["calibration_data"], is_program=False)
    order = Order(
        output=output,
        examples_folder=options.pop("examples_folder").absolute(),
        has_needs_ignored=options.pop("ignore_needs"),
        recipe=_recipe(options),
    )
    environment = find_environment(interpreter)
    if _needs_no_build(environment.tensorrt_llm):
        click.echo(
            f"No build is needed: TensorRT-LLM {environment.tensorrt_llm} loads checkpoints directly; set "
            f"model_source: {order.recipe.source}"
        )
        return
    is_new = construct(order, environment, _say)
    click.echo(f"{output} {'is built' if is_new else 'was built already'}. To serve it, set in the model's args:")
    click.echo(f"  model_source: {output}\n  tokenizer_source: {order.recipe.source}")
    for name in ("tensor_parallel_size", "pipeline_parallel_size"):
        if getattr(order.recipe, name) > 1:
            click.echo(f"  {name}: {getattr(order.recipe, name)}")


def _absolute(name: str | None, *, is_program: bool) -> str | None:
    """A path of this folder, for tools that run in another. A program on the PATH or a name on the hub stays."""
    if name is None or (is_program and "/" not in name) or not Path(name).exists():
        return name
    return str(Path(name).absolute())


def _needs_no_build(version: str) -> bool:
    try:
        return not builds_engines(version)
    except ValueError as error:
        raise CompiledEngineError(
            f"TensorRT-LLM: {error}, so nobody knows whether it is after {LAST_THAT_BUILDS}"
        ) from error


def _recipe(options: dict[str, Any]) -> Recipe:
    try:
        return Recipe.model_validate({**options, "source": str(Path(options["source"]).absolute())})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = first.get("ctx", {}).get("path", first["loc"])
        name = "build-arg" if path[0] == "extra_build_args" else str(path[0]).replace("_", "-")
        raise click.BadParameter(first["msg"], param_hint=f"--{name}") from error


def _say(text: str) -> None:
    click.echo(text, err=True)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the running tool first, and then this command."""

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)  # the tool is being ended; a second Ctrl-C must not leave it behind
        raise _Stopped(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except _Stopped as stopped:
        _say("\nstopped; the same command goes on after the last finished step")
        sys.exit(128 + stopped.number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
