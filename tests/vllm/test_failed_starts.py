"""What is said when real vLLM cannot start: the cause first, in the line that operators see."""

import json
import shutil
from pathlib import Path

import pytest
from vllm_on_cpu import SETTINGS, WEIGHTS, vllm_settings

from deployments.engines import create_engine
from deployments.engines.errors import EngineStartError
from deployments.engines.runtime import EngineRuntime


async def failure_of(**changes: object) -> str:
    """The first line of the message with which vLLM's start fails."""
    settings = vllm_settings(**changes)
    runtime = EngineRuntime(create_engine(settings), settings, "127.0.0.1", lambda *_: None, lambda _: None)
    with pytest.raises(EngineStartError) as failure:
        async with runtime:
            pass
    return failure.value.message.splitlines()[0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"extra_args": ["--enable-prefix-cachign"]},
            "vLLM 0.30.0 does not know the option --enable-prefix-cachign (extra_args); "
            "did you mean --enable-prefix-caching?",
            id="unknown option",
        ),
        pytest.param(
            {"kv_cache_dtype": "fp3"},
            "vLLM 0.30.0 refuses the value of --kv-cache-dtype (kv_cache_dtype): invalid choice: 'fp3'",
            id="value of a setting",
        ),
        pytest.param(
            {"extra_args": ["--block-size", "many"]},
            "vLLM 0.30.0 refuses the value of --block-size (extra_args): invalid",
            id="value of an extra argument",
        ),
        pytest.param(
            {"tool_call_parser": "hermess"},
            "KeyError: 'invalid tool call parser: hermess",
            id="tool parser",
        ),
        pytest.param(
            {"distributed_executor_backend": "ray"},
            "distributed_executor_backend: Ray is not installed for",
            id="several nodes without Ray",
        ),
        pytest.param(
            {"max_model_len": 100_000},
            "User-specified max_model_len (100000) is greater than the derived max_model_len",
            id="context above the model's",
        ),
        pytest.param(
            {"environment": {**SETTINGS["environment"], "VLLM_CPU_KVCACHE_SPACE": "4000"}},  # type: ignore[dict-item]
            "Available memory on node 0",
            id="memory",
        ),
        pytest.param(
            {"model_source": "org/no-such-model"},
            "LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder",
            id="no such model on the hub",
        ),
    ],
)
async def test_the_cause_comes_first(changes: dict[str, object], expected: str) -> None:
    """Settings that vLLM cannot start with."""
    first = await failure_of(**changes)

    assert expected == first.removeprefix("m did not start: it exited with code 1: ")[: len(expected)]


@pytest.mark.parametrize(
    ("model_type", "architecture", "expected"),
    [
        ("fancy", "LlamaForCausalLM", "The checkpoint you are trying to load has model type `fancy` but Transformers"),
        ("llama", "FancyForCausalLM", "Model architectures ['FancyForCausalLM'] are not supported for now."),
    ],
)
async def test_a_checkpoint_of_another_architecture(
    tmp_path: Path, model_type: str, architecture: str, expected: str
) -> None:
    """A model that this vLLM does not know is named."""
    for path in WEIGHTS.glob("*.json"):
        shutil.copy(path, tmp_path)
    config = json.loads((WEIGHTS / "config.json").read_text())
    config.update(model_type=model_type, architectures=[architecture])
    (tmp_path / "config.json").write_text(json.dumps(config))
    first = await failure_of(model_source=str(tmp_path))

    assert expected == first.removeprefix("m did not start: it exited with code 1: ")[: len(expected)]
