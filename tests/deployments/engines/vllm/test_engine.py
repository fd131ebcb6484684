"""vLLM's command line, and the guard that runs inside its server. vLLM itself is not needed here."""

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import ray

from configs.engine import ModelArgs, VllmSettings
from deployments.engines import create_engine
from deployments.engines.contract import ChildCommand, EngineAddress
from deployments.engines.errors import EngineStartError
from deployments.engines.runtime import EngineRuntime
from deployments.engines.vllm.engine import INSIDE_FOLDER

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
    ("settings", "passed"),
    [
        ({}, True),
        ({"task": "transcribe"}, False),
        ({"task": "transcribe", "enable_prefix_caching": True}, True),
    ],
)
def test_a_prefix_cache_is_not_demanded_of_a_whisper(settings: dict[str, object], passed: bool) -> None:  # noqa: FBT001 - the table's column
    """Its engine dies at the first request, where vLLM by itself would have none."""
    assert passed == ("--enable-prefix-caching" in _command(**settings).argv)


def test_cached_tokens_are_told() -> None:
    """vLLM leaves them out of the usage unless it is asked for them, and clients show them."""
    assert "--enable-prompt-tokens-details" in _command().argv


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


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("async_scheduling", False, ["--no-async-scheduling"]),
        ("async_scheduling", True, ["--async-scheduling"]),
        ("async_scheduling", None, []),
    ],
)
def test_a_switch_is_on_or_off_or_left_to_vllm(setting: str, value: object, expected: list[str]) -> None:
    """What is not set is vLLM's own choice."""
    assert expected == [word for word in _command(**{setting: value}).argv if word.endswith("async-scheduling")]


def test_one_that_takes_turns_can_sleep() -> None:
    """By an option, and by routes that vLLM has for developers only; others have neither."""
    command, other = _command(swap={"group": "g"}), _command()

    assert ("--enable-sleep-mode" in command.argv, command.environment.get("VLLM_SERVER_DEV_MODE")) == (True, "1")
    assert ("--enable-sleep-mode" in other.argv, other.environment.get("VLLM_SERVER_DEV_MODE")) == (False, None)


def test_the_backend_of_structured_outputs_is_one_json_option() -> None:
    """vLLM has it among others in one JSON object."""
    command = _command(structured_outputs_backend="xgrammar")

    assert {"backend": "xgrammar"} == json.loads(_value_of("--structured-outputs-config", command))


def test_the_launcher_knows_which_setting_an_option_comes_from() -> None:
    """So that a refused option is told by the name that is in the file."""
    command = _command(dtype="float32", tool_call_parser="hermes", extra_args=["--seed", "1"])
    known = json.loads(command.environment["ENGINEHOUSE_SETTINGS"])

    assert ("dtype", "tool_call_parser", None) == (
        known["--dtype"],
        known["--enable-auto-tool-choice"],
        known.get("--seed"),
    )


# starts that fail before vLLM is asked


async def _failure_of(**settings: object) -> str:
    given = VllmSettings.model_validate({"engine": "vllm", "model": "m", "model_source": "org/weights", **settings})
    runtime = EngineRuntime(create_engine(given), given, "127.0.0.1", lambda *_: None, lambda _: None)
    with pytest.raises(EngineStartError) as failure:
        async with runtime:
            pass
    return failure.value.message.splitlines()[0]


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
async def test_an_interpreter_without_vllm_is_told() -> None:
    """With its path."""
    expected = f"m did not start: it exited with code 1: vLLM is not installed for {sys.executable}: set `interpreter`"

    assert expected == (await _failure_of())[: len(expected)]


async def test_a_missing_interpreter_is_told() -> None:
    """With its path."""
    assert "cannot execute /nowhere/python: No such file or directory" in await _failure_of(
        interpreter="/nowhere/python"
    )


async def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    """vLLM itself would take it for a name on the hub."""
    expected = "m did not start: it exited with code 1: model_source: there is no model at"

    assert [f"{expected} /nowhere/m: no such folder", f"{expected} {tmp_path}: the folder has no config.json"] == [
        (await _failure_of(model_source=source)).removesuffix("; its last lines:")
        for source in ("/nowhere/m", str(tmp_path))
    ]


# the launcher's words

KNOWN = frozenset({"--dtype", "--enable-prefix-caching", "--device-memory-utilization"})


@pytest.fixture
def launcher() -> ModuleType:
    return _load("enginehouse_vllm")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "unrecognized arguments: --enable-prefix-cachign",
            "does not know the option --enable-prefix-cachign (extra_args); did you mean --enable-prefix-caching?",
        ),
        ("unrecognized arguments: --frobnicate=1", "does not know the option --frobnicate (extra_args)"),
        ("unrecognized arguments: word", "does not know what to do with 'word' (extra_args)"),
        (
            "argument --max-model-len: invalid int value: 'x'",
            "refuses the value of --max-model-len (max_model_len): invalid int value: 'x'",
        ),
        (
            "argument --seed/-s: expected one argument",
            "refuses the value of --seed/-s (extra_args): expected one argument",
        ),
        ("--a requires\n  --b", "refuses its options: --a requires --b"),
    ],
)
def test_what_vllms_parser_says_becomes_one_line(launcher: ModuleType, message: str, expected: str) -> None:
    """The setting to blame is in it, and for an unknown option one that is like it."""
    assert expected == launcher.explain(message, {"--max-model-len": "max_model_len"}, KNOWN)


def test_an_option_of_a_setting_goes_by_the_name_that_this_vllm_has(launcher: ModuleType) -> None:
    """Only options of settings, and only where their own name is unknown."""
    words = ["org/weights", "--gpu-memory-utilization", "0.5", "--dtype", "auto"]
    settings = {"--gpu-memory-utilization": "gpu_memory_utilization", "--dtype": "dtype"}

    assert ["org/weights", "--device-memory-utilization", "0.5", "--dtype", "auto"] == launcher.renamed(
        words, settings, KNOWN
    )
    assert words == launcher.renamed(words, {}, KNOWN)


def _load(name: str) -> ModuleType:
    """A module that runs inside vLLM, loaded by its own name from its own folder."""
    spec = importlib.util.spec_from_file_location(name, INSIDE_FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def guard(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The guard's module, loaded as vLLM loads it: by its own name, from its own folder."""
    monkeypatch.setenv("ENGINEHOUSE_SECRET", "s3cret")
    return _load("enginehouse_guard")


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


# several nodes


def test_vllm_joins_the_cluster_of_its_replica(launcher: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its address, with the GPUs that Ray hides from a replica without any; with `mp` nothing changes."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("ENGINEHOUSE_RAY", f"10.0.0.1:6379 {ray.__version__}")
    launcher.join_cluster("mp")
    assert (None, "") == (os.environ.get("RAY_ADDRESS"), os.environ.get("CUDA_VISIBLE_DEVICES"))
    launcher.join_cluster("ray")
    assert ("10.0.0.1:6379", None) == (os.environ.get("RAY_ADDRESS"), os.environ.get("CUDA_VISIBLE_DEVICES"))


def test_another_ray_than_the_clusters_is_refused(launcher: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the model is loaded, with both versions."""
    monkeypatch.setenv("ENGINEHOUSE_RAY", "10.0.0.1:6379 1.0.0")
    with pytest.raises(launcher.CannotStartError, match=rf"the cluster runs Ray 1\.0\.0, and .* has {ray.__version__}"):
        launcher.join_cluster("ray")
