"""What an environment tells about itself, asked by its own interpreter."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from trtllm_build_environment import A100, BuildEnvironment, make_build_environment

from deployments.compiled_engines.match import PROBE

H100_FOUND = {"name": "NVIDIA H100 80GB HBM3", "sm": 90, "free_bytes": 79000 * 1024**2}


def probe(trtllm: BuildEnvironment, *words: str, **variables: str) -> Any:
    command = [str(trtllm.python), str(PROBE), *words]
    environ = {**trtllm.environ, **variables}
    answer = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(answer.stdout)


@pytest.mark.parametrize("words", [(), ("--quick",)])
def test_an_environment_tells_its_versions_and_gpus(trtllm: BuildEnvironment, words: tuple[str, ...]) -> None:
    """From metadata and nvidia-smi, so that the quick way knows as much."""
    expected = {"tensorrt_llm": "1.2.1", "tensorrt": "10.14.1.48", "gpus": [H100_FOUND]}

    assert {**expected, "trtllm_build": str(trtllm.folder / "bin/trtllm-build")} == probe(trtllm, *words)


def test_several_gpus_are_several(trtllm: BuildEnvironment) -> None:
    """In nvidia-smi's order, names with commas included."""
    trtllm.set_gpus(A100, "Odd, one, 12.0, 5")

    assert [("NVIDIA A100-SXM4-80GB", 80), ("Odd, one", 120)] == [
        (gpu["name"], gpu["sm"]) for gpu in probe(trtllm)["gpus"]
    ]


def test_no_gpu_is_visible_where_none_is_allowed(trtllm: BuildEnvironment) -> None:
    """As CUDA reads the variable."""
    assert [] == probe(trtllm, CUDA_VISIBLE_DEVICES="")["gpus"]


def test_without_nvidia_smi_torch_is_asked(trtllm: BuildEnvironment) -> None:
    """Only when there is time to import it."""
    (trtllm.folder / "bin" / "nvidia-smi").unlink()
    [packages] = trtllm.folder.glob("lib/python*/site-packages")
    (packages / "torch.py").write_text(
        "class cuda:\n"
        "    device_count = staticmethod(lambda: 1)\n"
        "    get_device_capability = staticmethod(lambda index: (9, 0))\n"
        "    mem_get_info = staticmethod(lambda index: (5, 9))\n"
        "    get_device_name = staticmethod(lambda index: 'H200')\n"
    )

    assert [{"name": "H200", "sm": 90, "free_bytes": 5}] == probe(trtllm)["gpus"]
    assert probe(trtllm, "--quick")["gpus"] is None


def test_a_package_without_metadata_is_imported(tmp_path: Path) -> None:
    """As an installation from source may be; the quick way does not know it."""
    trtllm = make_build_environment(tmp_path / "trtllm", tensorrt=None)
    [packages] = trtllm.folder.glob("lib/python*/site-packages")
    (packages / "tensorrt.py").write_text("__version__ = '10.0.0'\n")

    assert ("10.0.0", None) == (probe(trtllm)["tensorrt"], probe(trtllm, "--quick")["tensorrt"])
