"""vLLM's command line, and the guard that runs inside its server. vLLM itself is not needed here."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from configs.engine import ModelArgs, VllmSettings
from deployments.engines import create_engine
from deployments.engines.contract import ChildCommand, EngineAddress
from deployments.engines.vllm import INSIDE_FOLDER

ADDRESS = EngineAddress("127.0.0.1", 4000, "s3cret")


def _command(**settings: object) -> ChildCommand:
    given = {"engine": "vllm", "model": "m", "model_source": "org/weights", **settings}
    return create_engine(ModelArgs.model_validate(given).root).command(ADDRESS)


def _value_of(option: str, command: ChildCommand) -> str:
    return command.argv[command.argv.index(option) + 1]


def test_the_secret_is_not_on_the_command_line() -> None:
    """Everybody on a machine can read command lines; the secret travels in the environment."""
    command = _command()

    assert not any("s3cret" in word for word in command.argv)
    assert "s3cret" == command.environment["ENGINEHOUSE_SECRET"]


def test_what_is_not_set_is_left_to_vllm() -> None:
    """Options that the settings do not name are not passed: vLLM has its own defaults by GPU."""
    words = _command().argv

    assert ("org/weights", "--served-model-name", "m") == words[2:5]
    for option in ("--max-model-len", "--max-num-seqs", "--quantization", "--enable-auto-tool-choice", "--enable-lora"):
        assert option not in words


@pytest.mark.parametrize(
    ("setting", "value", "option", "expected"),
    [
        ("tensor_parallel_size", 4, "--tensor-parallel-size", "4"),
        ("quantization", "fp8", "--quantization", "fp8"),
        ("max_model_len", 4096, "--max-model-len", "4096"),
        ("tool_call_parser", "hermes", "--tool-call-parser", "hermes"),
        ("revision", "v2", "--revision", "v2"),
        ("gpu_memory_utilization", 0.5, "--gpu-memory-utilization", "0.5"),
    ],
)
def test_a_setting_becomes_its_option(setting: str, value: object, option: str, expected: str) -> None:
    """Typed settings become the options of the same meaning."""
    assert expected == _value_of(option, _command(**{setting: value}))


def test_speculative_decoding_is_one_json_option() -> None:
    """vLLM takes speculative decoding as a JSON object."""
    command = _command(speculative={"method": "ngram", "num_speculative_tokens": 3})

    expected = {"method": "ngram", "num_speculative_tokens": 3}
    assert expected == json.loads(_value_of("--speculative-config", command))


def test_adapters_are_named_with_their_source() -> None:
    """Each LoRA adapter is passed under the name that the model table's routes use."""
    command = _command(lora_adapters={"sql": "/adapters/sql"})

    assert "sql=/adapters/sql" == _value_of("--lora-modules", command)


def test_the_replica_reserves_the_gpus_of_all_ranks() -> None:
    """One GPU for each rank; none for a vLLM that was built for CPUs."""
    several = VllmSettings(engine="vllm", model="m", model_source="w", tensor_parallel_size=2, pipeline_parallel_size=2)
    on_cpu = several.model_copy(update={"environment": {"VLLM_TARGET_DEVICE": "cpu"}})

    assert (4, 0) == (several.num_gpus, on_cpu.num_gpus)


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The guard's module, loaded as vLLM loads it: by its own name, from its own folder."""
    monkeypatch.setenv("ENGINEHOUSE_SECRET", "s3cret")
    spec = importlib.util.spec_from_file_location("enginehouse_guard", Path(INSIDE_FOLDER) / "enginehouse_guard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("path", "authorization", "expected"),
    [
        ("/health", None, 200),
        ("/v1/models", b"Bearer s3cret", 200),
        ("/v1/models", None, 401),
        ("/v1/models", b"Bearer other", 401),
        ("/v1/models", b"s3cret", 401),
        ("/invocations", None, 401),
        ("/metrics", None, 401),
        ("/tokenize", b"Bearer ", 401),
    ],
)
async def test_the_guard_lets_nobody_in_without_the_secret(
    guard: ModuleType, path: str, authorization: bytes | None, expected: int
) -> None:
    """Every path but the health probe's asks for the secret, also those that vLLM's own key leaves open."""
    sent: list[dict[str, Any]] = []

    async def app(_scope: object, _receive: object, send: Callable[[dict[str, Any]], Any]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [] if authorization is None else [(b"authorization", authorization)]
    await guard.Guard(app)({"type": "http", "path": path, "headers": headers}, None, send)

    assert expected == sent[0]["status"]
