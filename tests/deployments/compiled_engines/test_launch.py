"""A replica's launcher refuses an engine that does not fit; run as a replica runs it, on the stand-in."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trtllm_build_environment import A100, BuildEnvironment, make_build_environment

from configs.engine import ModelArgs
from deployments.engines import create_engine
from deployments.engines.contract import EngineAddress

Change = Callable[[Path, BuildEnvironment], None]


def launch(trtllm: BuildEnvironment, engine: Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    """With an option that the server does not know, so that a launch that is not refused ends, too."""
    given = {"engine": "tensorrt_llm", "model": "m", "model_source": str(engine), "interpreter": str(trtllm.python)}
    given["tokenizer_source"] = str(engine)
    args = ModelArgs.model_validate({**given, "extra_args": ["--no_such_option"], **settings}).root
    started = create_engine(args).command(EngineAddress("127.0.0.1", 9, "s3cret"))
    assert started is not None
    environ = {**trtllm.environ, **started.environment}
    return subprocess.run(started.argv, env=environ, capture_output=True, text=True, check=False)


@pytest.fixture
def engine(trtllm: BuildEnvironment, weights: Path, tmp_path: Path) -> Path:
    """Built for version 1.2.1 on one H100."""
    done = trtllm.build(weights, tmp_path / "engine")
    assert 0 == done.returncode, done.stderr
    return tmp_path / "engine"


def cut(engine: Path, _: BuildEnvironment) -> None:
    (engine / "rank0.engine").write_bytes(b"engine")


def remove(engine: Path, _: BuildEnvironment) -> None:
    (engine / "rank0.engine").unlink()


def change_gpu(_: Path, trtllm: BuildEnvironment) -> None:
    trtllm.set_gpus(A100)


def spoil_manifest(engine: Path, _: BuildEnvironment) -> None:
    (engine / "manifest.json").write_text('{"format": 1}')


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (cut, "rank0.engine has 6 bytes, 27 were written"),
        (remove, "rank0.engine is missing"),
        (change_gpu, "built for SM 90 (NVIDIA H100 80GB HBM3), this GPU is SM 80 (NVIDIA A100-SXM4-80GB)"),
        (spoil_manifest, "manifest.json is not as it was written (KeyError: 'recipe')"),
    ],
)
def test_an_engine_that_does_not_fit_is_refused(
    trtllm: BuildEnvironment, engine: Path, change: Change, reason: str
) -> None:
    """With exit code 1 and the reason as the last line, where a replica looks for it."""
    change(engine, trtllm)
    done = launch(trtllm, engine)

    assert 1 == done.returncode
    assert (
        f"the engine {engine} cannot run here: {reason}. Build it again with `enginehouse build`"
        == done.stderr.strip().splitlines()[-1]
    )


@pytest.mark.parametrize("has_manifest", [True, False])
def test_another_version_is_refused(
    trtllm: BuildEnvironment, engine: Path, tmp_path: Path, *, has_manifest: bool
) -> None:
    """Also when all that is known is what trtllm-build wrote itself."""
    other = make_build_environment(tmp_path / "other", version="1.2.0")
    if not has_manifest:
        (engine / "manifest.json").unlink()
    done = launch(other, engine)

    assert (1, True) == (done.returncode, "built for TensorRT-LLM 1.2.1, this is 1.2.0" in done.stderr), done.stderr


@pytest.mark.parametrize("has_manifest", [True, False])
def test_another_number_of_gpus_is_refused(trtllm: BuildEnvironment, engine: Path, *, has_manifest: bool) -> None:
    """An engine is for as many ranks as it was built for."""
    if not has_manifest:
        (engine / "manifest.json").unlink()
    done = launch(trtllm, engine, tensor_parallel_size=2)

    assert 1 == done.returncode
    assert (
        "built for tensor_parallel_size 1 and pipeline_parallel_size 1, the model's settings say 2 and 1" in done.stderr
    )


def test_an_engine_that_fits_goes_on(trtllm: BuildEnvironment, engine: Path) -> None:
    """To the next thing that is checked. A file whose contents changed is found by --verify, not at each start."""
    path = engine / "rank0.engine"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    done = launch(trtllm, engine)

    assert "extra_args: this trtllm-serve has no option --no_such_option" == done.stderr.strip().splitlines()[-1]


def test_without_an_interpreter_that_of_the_server_is_asked(trtllm: BuildEnvironment, engine: Path) -> None:
    """Ours would know no TensorRT-LLM, and compare nothing."""
    server = trtllm.folder / "bin/trtllm-serve"
    server.write_text(f"#!{trtllm.python}\n" + server.read_text().partition("\n")[2])
    manifest = json.loads((engine / "manifest.json").read_text())
    (engine / "manifest.json").write_text(json.dumps({**manifest, "tensorrt_llm": "1.2.0"}))
    done = launch(trtllm, engine, interpreter=None)

    assert "built for TensorRT-LLM 1.2.0, this is 1.2.1" in done.stderr


def test_variables_choose_the_gpus_that_are_compared(trtllm: BuildEnvironment, engine: Path) -> None:
    """A replica sees those that Ray gave it: nvidia-smi is asked for these."""
    smi = trtllm.folder / "bin/nvidia-smi"
    smi.write_text(f"#!/bin/sh\ncase \"$*\" in *--id=3*) echo '{A100}';; *) echo 'H100, 9.0, 5';; esac\n")
    done = launch(trtllm, engine, environment={"CUDA_VISIBLE_DEVICES": "3"})

    assert "this GPU is SM 80" in done.stderr
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
