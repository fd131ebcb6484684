"""A build as a whole: checks, steps, and the engine that appears when all is done."""

import importlib.metadata
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deployments.compiled_engines.checkpoint import Checkpoint, read_checkpoint
from deployments.compiled_engines.environment import Environment
from deployments.compiled_engines.errors import CompiledEngineError, StepFailedError
from deployments.compiled_engines.manifest import (
    BUILD_LOGS,
    BuiltOn,
    Manifest,
    read_manifest,
    write_manifest,
    written_files,
)
from deployments.compiled_engines.needs import find_free, needs, shortages
from deployments.compiled_engines.plan import Step, Tools, plan
from deployments.compiled_engines.recipe import Recipe
from deployments.compiled_engines.running import Progress, run_step
from deployments.compiled_engines.work_folder import WorkFolder, opened

Say = Callable[[str], object]


@dataclass(frozen=True)
class Order:
    """
    Attributes:
        output: absolute; the folder that the engine will be.
        has_needs_ignored: build although less is free than is needed.
    """

    recipe: Recipe
    output: Path
    examples_folder: Path
    has_needs_ignored: bool


def construct(order: Order, environment: Environment, say: Say) -> bool:
    """
    Builds what is not built yet.

    Returns:
        whether something was done: False where the engine was there already.

    Raises:
        CompiledEngineError: it cannot be built; finished steps are kept for the next run.
    """
    checkpoint = read_checkpoint(Path(order.recipe.source))
    with opened(order.output) as folder:
        try:
            return _construct(order, environment, checkpoint, folder, say)
        except CompiledEngineError:
            if not folder.logs.exists():  # no tool has run yet
                folder.remove()
            raise


def _construct(order: Order, environment: Environment, checkpoint: Checkpoint, folder: WorkFolder, say: Say) -> bool:
    if order.output.exists():
        _check_same(order, environment, checkpoint)
        folder.remove()
        return False
    gpu = _build_gpu(environment)
    steps = _steps(order, environment, checkpoint, folder)
    _begin(folder, _inputs(order.recipe, environment, checkpoint, gpu), say)
    _check_needs(order, environment, checkpoint, folder)
    for number, step in enumerate(steps, start=1):
        _do(folder, step, f"step {number} of {len(steps)}, {step.name}", number)
    say("computing checksums")
    manifest = _manifest(order.recipe, environment, checkpoint, gpu, folder.output(steps[-1]))
    _publish(folder, steps[-1], manifest, order.output)
    return True


def _build_gpu(environment: Environment) -> BuiltOn:
    if environment.gpus is None:
        raise CompiledEngineError(
            "nobody here tells which GPUs there are, neither nvidia-smi nor torch: an engine is compiled for the GPU "
            "that it is compiled on"
        )
    if not environment.gpus:
        raise CompiledEngineError("a GPU is needed, of the kind that will serve, and none is visible here")
    kinds = {sm for _, sm, _ in environment.gpus}
    if len(kinds) > 1:
        raise CompiledEngineError(f"GPUs of several kinds are visible (SM {kinds}): choose with CUDA_VISIBLE_DEVICES")
    name, sm, _ = environment.gpus[0]
    return BuiltOn(name=name, sm=sm)


def _check_same(order: Order, environment: Environment, checkpoint: Checkpoint) -> None:
    try:
        there = read_manifest(order.output)
    except CompiledEngineError as error:
        raise CompiledEngineError(f"{order.output} exists already, and is left alone: {error}") from error
    wanted = _identity(order.recipe, environment.tensorrt_llm, environment.tensorrt, checkpoint.fingerprint)
    built = _identity(there.recipe, there.tensorrt_llm, there.tensorrt, there.source_fingerprint)
    if environment.gpus:
        wanted["GPU"], built["GPU"] = f"SM {environment.gpus[0][1]}", f"SM {there.gpu.sm}"
    others = [name for name in wanted if wanted[name] != built[name]]
    if others:
        name = others[0]
        raise CompiledEngineError(
            f"{order.output} exists already, with another {name} ({built[name]}, not {wanted[name]}): remove it, or "
            "name another OUTPUT"
        )


def _identity(recipe: Recipe, tensorrt_llm: str, tensorrt: str | None, fingerprint: str) -> dict[str, Any]:
    return {
        **recipe.model_dump(mode="json"),
        "TensorRT-LLM": tensorrt_llm,
        "TensorRT": tensorrt,
        "content of the checkpoint": fingerprint,
    }


def _inputs(recipe: Recipe, environment: Environment, checkpoint: Checkpoint, gpu: BuiltOn) -> dict[str, Any]:
    identity = _identity(recipe, environment.tensorrt_llm, environment.tensorrt, checkpoint.fingerprint)
    return {**identity, "GPU": f"SM {gpu.sm} ({gpu.name})"}


def _steps(order: Order, environment: Environment, checkpoint: Checkpoint, folder: WorkFolder) -> tuple[Step, ...]:
    if environment.trtllm_build is None:
        raise CompiledEngineError(
            f"there is no trtllm-build beside {environment.interpreter}, though its TensorRT-LLM "
            f"{environment.tensorrt_llm} should have one: is the installation whole?"
        )
    tools = Tools(environment.interpreter, environment.trtllm_build, order.examples_folder)
    return plan(order.recipe, checkpoint, tools, folder.path)


def _begin(folder: WorkFolder, inputs: dict[str, Any], say: Say) -> None:
    changed = folder.begin(inputs)
    if changed:
        say(f"what is to be built has changed ({', '.join(changed)}): starting anew")
    elif folder.finished:
        say(f"going on after an earlier run, which finished: {', '.join(sorted(folder.finished))}")


def _check_needs(order: Order, environment: Environment, checkpoint: Checkpoint, folder: WorkFolder) -> None:
    missing = shortages(needs(order.recipe, checkpoint, folder.finished), find_free(folder.path, environment.gpus))
    if missing and not order.has_needs_ignored:
        raise CompiledEngineError(f"{'; '.join(missing)}. These are estimates: --ignore-needs builds all the same")


def _do(folder: WorkFolder, step: Step, label: str, number: int) -> None:
    if folder.is_finished(step):
        return
    folder.discard(step)
    progress, log = Progress(label), folder.log(number, step)
    run_step(step, folder.path, log, progress, folder.lock)
    missing = folder.missing(step)
    if missing:
        raise StepFailedError(f"{step.name}: ended well, but left no {', '.join(missing)}; its output is in {log}")
    folder.finish(step)
    progress.say(f"finished in {progress.elapsed}")


def _manifest(recipe: Recipe, environment: Environment, checkpoint: Checkpoint, gpu: BuiltOn, engine: Path) -> Manifest:
    return Manifest(
        created_at=datetime.now(UTC),
        enginehouse=importlib.metadata.version("enginehouse"),
        tensorrt_llm=environment.tensorrt_llm,
        tensorrt=environment.tensorrt,
        gpu=gpu,
        world_size=recipe.world_size,
        recipe=recipe,
        source_fingerprint=checkpoint.fingerprint,
        files=written_files(engine),
    )


def _publish(folder: WorkFolder, last: Step, manifest: Manifest, output: Path) -> None:
    """The engine with its manifest and the build's logs, in one move."""
    engine = folder.output(last)
    _make_durable(engine)
    write_manifest(engine, manifest)
    shutil.copytree(folder.logs, engine / BUILD_LOGS, dirs_exist_ok=True)
    try:
        engine.rename(output)
    except OSError as error:
        raise CompiledEngineError(f"the engine cannot be moved from {engine} to {output}: {error.strerror}") from error
    folder.remove()


def _make_durable(engine: Path) -> None:
    """On the disk, before a name says that it is complete."""
    for path in engine.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
