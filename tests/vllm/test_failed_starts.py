"""What is said when real vLLM cannot start: the cause first, in the line that operators see."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from vllm_on_cpu import SETTINGS, WEIGHTS, vllm_settings

from deployments.engines import create_engine
from deployments.engines.errors import EngineStartError
from deployments.engines.runtime import EngineRuntime

CAUSES: dict[str, tuple[dict[str, object], str]] = {
    "unknown option": (
        {"extra_args": ["--enable-prefix-cachign"]},
        (
            "vLLM 0.30.0 does not know the option --enable-prefix-cachign (extra_args); "
            "did you mean --enable-prefix-caching?"
        ),
    ),
    "value of a setting": (
        {"kv_cache_dtype": "fp3"},
        "vLLM 0.30.0 refuses the value of --kv-cache-dtype (kv_cache_dtype): invalid choice: 'fp3'",
    ),
    "value of an extra argument": (
        {"extra_args": ["--block-size", "many"]},
        "vLLM 0.30.0 refuses the value of --block-size (extra_args): invalid",
    ),
    "tool parser": ({"tool_call_parser": "hermess"}, "KeyError: 'invalid tool call parser: hermess"),
    "several nodes without Ray": (
        {"distributed_executor_backend": "ray"},
        "distributed_executor_backend: Ray is not installed for",
    ),
    "context above the model's": (
        {"max_model_len": 100_000},
        "User-specified max_model_len (100000) is greater than the derived max_model_len",
    ),
    "memory": (
        {"environment": {**SETTINGS["environment"], "VLLM_CPU_KVCACHE_SPACE": "4000"}},  # type: ignore[dict-item]
        "Available memory on node 0",
    ),
    "no such model on the hub": (
        {"model_source": "org/no-such-model"},
        "LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder",
    ),
}
"""Settings that vLLM cannot start with, each with how what it says begins."""

NUM_AT_ONCE = 2
"""A start that fails is mostly one core's work."""


async def failure_of(**changes: object) -> str:
    """The first line of the message with which vLLM's start fails, without what every such message begins with."""
    settings = vllm_settings(**changes)
    runtime = EngineRuntime(create_engine(settings), settings, "127.0.0.1", lambda *_: None, lambda _: None)
    with pytest.raises(EngineStartError) as failure:
        async with runtime:
            pass
    return failure.value.message.splitlines()[0].removeprefix("m did not start: it exited with code 1: ")


def checkpoint(folder: Path, model_type: str, architecture: str) -> str:
    """That of the weights, but for what it says that it is."""
    folder.mkdir()
    for path in WEIGHTS.glob("*.json"):
        shutil.copy(path, folder)
    config = json.loads((WEIGHTS / "config.json").read_text())
    config.update(model_type=model_type, architectures=[architecture])
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.mark.timeout(900)
async def test_the_cause_comes_first(tmp_path: Path) -> None:
    """Of each, in the line that operators see."""
    causes = {
        **CAUSES,
        "unknown model type": (
            {"model_source": checkpoint(tmp_path / "type", "fancy", "LlamaForCausalLM")},
            "The checkpoint you are trying to load has model type `fancy` but Transformers",
        ),
        "unknown architecture": (
            {"model_source": checkpoint(tmp_path / "architecture", "llama", "FancyForCausalLM")},
            "Model architectures ['FancyForCausalLM'] are not supported for now.",
        ),
    }
    places = asyncio.Semaphore(NUM_AT_ONCE)

    async def beginning_of(changes: dict[str, object], length: int) -> str:
        async with places:
            return (await failure_of(**changes))[:length]

    said = await asyncio.gather(*(beginning_of(changes, len(expected)) for changes, expected in causes.values()))
    assert {name: expected for name, (_, expected) in causes.items()} == dict(zip(causes, said, strict=True))
