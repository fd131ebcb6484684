"""The engines that the contract is asked of: how each is set up here, and what it cannot do by its nature."""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from configs.engine import (
    EndpointSettings,
    EngineSettings,
    LlamaCppSettings,
    OllamaSettings,
    SimulatedSettings,
    TensorRtLlmSettings,
)
from deployments.engines.contract import EngineAddress
from deployments.engines.ports import free_port
from deployments.engines.simulated.engine import SimulatedEngine

sys.path.insert(0, str(Path(__file__).parents[1] / "standins"))
sys.path.insert(0, str(Path(__file__).parents[1] / "standins/ollama"))

from ollama_standin_files import make_model, make_program
from trtllm_installation import make_checkpoint, make_trtllm_bin
from vllm_on_cpu import vllm_settings

MAX_MODEL_LEN = 512
MAX_NUM_SEQS = 2
ENDPOINT_KEY_ENV = "ENGINEHOUSE_TEST_ENDPOINT_KEY"
_START_DEADLINE_S = 150.0


@dataclass(frozen=True)
class ContractEngine:
    """
    One engine named `m`, with a context of 512 tokens and room for two requests.

    `open_settings` lays out what the settings need, and removes it at the end.
    """

    name: str
    open_settings: Callable[[], AbstractContextManager[EngineSettings]]
    is_child: bool = True
    """Whether the replica runs the engine's process."""
    has_interpreter: bool = True
    checks_keys: bool = True
    """Whether the process itself asks for the secret; for another, its front does."""
    tells_queue: bool = True
    """Whether its load tells running from waiting."""
    refuses_long_prompts: bool = True
    calls_tools: bool = False
    is_missing: bool = False
    marks: tuple[pytest.MarkDecorator, ...] = ()

    @property
    def param(self) -> object:
        marks = [*self.marks, pytest.mark.skipif(self.is_missing, reason=f"{self.name} is not installed")]
        return pytest.param(self, id=self.name, marks=marks)


@contextlib.contextmanager
def simulated() -> Iterator[EngineSettings]:
    yield SimulatedSettings(
        engine="simulated",
        model="m",
        max_model_len=MAX_MODEL_LEN,
        max_num_seqs=MAX_NUM_SEQS,
        inter_token_ms=5,
        start_timeout_s=120,
    )


@contextlib.contextmanager
def llama_cpp() -> Iterator[EngineSettings]:
    yield LlamaCppSettings(
        engine="llama_cpp",
        model="m",
        max_model_len=MAX_MODEL_LEN,
        max_num_seqs=MAX_NUM_SEQS,
        num_threads=1,
        start_timeout_s=120,
    )


@contextlib.contextmanager
def ollama() -> Iterator[EngineSettings]:
    """The stand-in, with a model that is there."""
    folder = Path(tempfile.mkdtemp(prefix="ollama-"))
    make_model(folder / "models", "tiny:1b")
    try:
        yield OllamaSettings(
            engine="ollama",
            model="m",
            model_source="tiny:1b",
            executable=str(make_program(folder)),
            models_folder=str(folder / "models"),
            pull="never",
            max_model_len=MAX_MODEL_LEN,
            max_num_seqs=MAX_NUM_SEQS,
            start_timeout_s=120,
        )
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def tensorrt_llm() -> Iterator[EngineSettings]:
    """The stand-in, as an environment of its own with `trtllm-serve` beside its Python."""
    folder = Path(tempfile.mkdtemp(prefix="trtllm-"))
    try:
        yield TensorRtLlmSettings(
            engine="tensorrt_llm",
            model="m",
            model_source=str(make_checkpoint(folder / "model")),
            interpreter=str(make_trtllm_bin(folder) / "python"),
            environment={"STANDIN_TOKEN_MS": "5"},
            max_model_len=MAX_MODEL_LEN,
            max_num_seqs=MAX_NUM_SEQS,
            tool_call_parser="qwen3",
            start_timeout_s=120,
        )
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def vllm() -> Iterator[EngineSettings]:
    """Real vLLM on the CPU; it takes 40 s to start, the others two."""
    yield vllm_settings(tool_call_parser="hermes")


@contextlib.contextmanager
def endpoint() -> Iterator[EngineSettings]:
    """A simulated engine that somebody else runs, under another name for the model, and with a key."""
    with simulated() as settings, running(settings.model_copy(update={"model": "theirs"})) as base_url:
        yield EndpointSettings(
            engine="openai",
            model="m",
            model_source="theirs",
            base_url=base_url,
            api_key_env=ENDPOINT_KEY_ENV,
            start_timeout_s=120,
        )


@contextlib.contextmanager
def running(settings: SimulatedSettings, port: int | None = None) -> Iterator[str]:
    """The base URL of a simulated engine in a process of its own; its key is in ENDPOINT_KEY_ENV."""
    address = EngineAddress("127.0.0.1", port or free_port("127.0.0.1"), "key-of-others")
    command = SimulatedEngine(settings).command(address)
    environment = {**os.environ, **command.environment}
    with (
        pytest.MonkeyPatch.context() as patch,
        subprocess.Popen(command.argv, env=environment, stdout=subprocess.DEVNULL) as process,
    ):
        patch.setenv(ENDPOINT_KEY_ENV, address.secret)
        try:
            _wait_healthy(f"http://127.0.0.1:{address.port}/health")
            yield f"http://127.0.0.1:{address.port}/v1"
        finally:
            process.kill()


def _wait_healthy(url: str) -> None:
    deadline = time.monotonic() + _START_DEADLINE_S
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310  ours
            return
        assert time.monotonic() < deadline, f"{url} did not answer"
        time.sleep(0.05)


CONTRACT_ENGINES = [
    ContractEngine("simulated", simulated),
    ContractEngine("llama_cpp", llama_cpp, is_missing=importlib.util.find_spec("xllamacpp") is None),
    ContractEngine(
        "ollama", ollama, has_interpreter=False, checks_keys=False, refuses_long_prompts=False, calls_tools=True
    ),
    ContractEngine("tensorrt_llm", tensorrt_llm, checks_keys=False, tells_queue=False),
    ContractEngine("openai", endpoint, is_child=False, tells_queue=False),
    ContractEngine("vllm", vllm, marks=(pytest.mark.vllm, pytest.mark.timeout(400))),
]
