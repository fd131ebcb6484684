"""Whether an engine fits where it is to run."""

import json
from pathlib import Path
from typing import Any

import pytest

from deployments.compiled_engines.match import Built, Gpu, Runtime, UnreadableError, file_reasons, read_built, reasons

H100, A100 = Gpu("H100", 90), Gpu("A100", 80)
BUILT = Built("1.2.0", "10.14.1", H100, 2, 1, {})
SAME = Runtime("1.2.0", "10.14.1", (H100, H100), 2, 1)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"tensorrt_llm": "1.2.1"}, ["built for TensorRT-LLM 1.2.0, this is 1.2.1"]),
        ({"tensorrt": "10.15.0"}, ["built for TensorRT 10.14.1, this is 10.15.0"]),
        ({"gpus": (H100, A100)}, ["built for SM 90 (H100), this GPU is SM 80 (A100)"]),
        ({"gpus": None, "tensorrt": None, "tensorrt_llm": None}, []),
        (
            {"tensor_parallel_size": 1, "pipeline_parallel_size": 2},
            [
                "built for tensor_parallel_size 2 and pipeline_parallel_size 1, the model's settings say 1 and 2",
            ],
        ),
    ],
)
def test_each_difference_is_a_reason(changes: dict[str, Any], expected: list[str]) -> None:
    """What nobody can tell is none."""
    assert expected == reasons(BUILT, SAME._replace(**changes))


def test_several_differences_are_several_reasons() -> None:
    """All at once, not one a start."""
    assert 3 == len(reasons(BUILT, Runtime("1.2.1", "10.15", (A100,), 2, 1)))


def test_without_a_manifest_the_engines_own_configuration_tells(tmp_path: Path) -> None:
    """`trtllm-build` writes its version and the mapping there; neither TensorRT's version nor a GPU."""
    mapping = {"world_size": 2, "tp_size": 1, "pp_size": 2}
    config = {"version": "1.2.0", "pretrained_config": {"mapping": mapping}, "build_config": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))

    assert Built("1.2.0", None, None, 1, 2, {}) == read_built(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "manifest.json is not as it was written"),
        ("{}", "manifest.json is not as it was written (KeyError: 'format')"),
        ('{"format": 2}', "manifest.json has the format 2, and 1 is known"),
        ('{"format": 1, "recipe": [], "gpu": 3}', "manifest.json is not as it was written"),
    ],
)
def test_a_manifest_that_says_nothing_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """Though the engine's own configuration would be there."""
    (tmp_path / "config.json").write_text('{"version": "1.2.0", "pretrained_config": {}, "build_config": {}}')
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UnreadableError) as caught:
        read_built(tmp_path)

    assert message in str(caught.value)


def test_files_are_compared_by_size(tmp_path: Path) -> None:
    """Contents are read only when somebody asks."""
    (tmp_path / "rank0.engine").write_bytes(b"12345")

    assert ["rank0.engine has 5 bytes, 7 were written", "rank1.engine is missing"] == file_reasons(
        tmp_path, {"rank0.engine": 7, "rank1.engine": 7}
    )
