"""Stand-ins for servers that cannot be installed here, started as real processes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

# The tests' own modules, under names that no other folder of tests uses.
sys.path.insert(0, str(Path(__file__).parent))

from trtllm_installation import make_checkpoint, make_trtllm_bin
from trtllm_process import StandinProcess, running_standin

StartTrtllm = Callable[..., StandinProcess]


@pytest.fixture(scope="session")
def trtllm_bin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_trtllm_bin(tmp_path_factory.mktemp("trtllm"))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Named as the model of the recorded server."""
    return make_checkpoint(tmp_path_factory.mktemp("models") / "fake-model")


@pytest.fixture
def start_trtllm(trtllm_bin: Path, checkpoint: Path, tmp_path: Path) -> Iterator[StartTrtllm]:
    """Starts stand-ins: `start(*options, yaml=..., model=..., env=..., is_ready=True)`."""
    with ExitStack() as stack:

        def start(
            *options: str,
            yaml: str | None = None,
            model: Path = checkpoint,
            env: dict[str, str] | None = None,
            is_ready: bool = True,
            port: int | None = None,
        ) -> StandinProcess:
            arguments = [str(model), *options]
            if yaml is not None:
                (tmp_path / "options.yaml").write_text(yaml)
                arguments += ["--extra_llm_api_options", str(tmp_path / "options.yaml")]
            standin = stack.enter_context(running_standin(trtllm_bin, arguments, tmp_path, env, port))
            if is_ready:
                standin.wait_ready()
            return standin

        yield start


@pytest.fixture(scope="module")
def shared_trtllm(
    trtllm_bin: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StandinProcess]:
    """One as the recorded server was started: a tool parser, and statistics of its iterations."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "options.yaml").write_text("enable_iter_perf_stats: true\n")
    arguments = [str(checkpoint), "--tool_parser", "qwen3", "--config", str(folder / "options.yaml")]
    with running_standin(trtllm_bin, arguments, folder) as standin:
        standin.wait_ready()
        yield standin
