"""The reason of an exit, found in what real engines printed: vLLM 0.30 on a CPU, recorded. Lines are cut at 400."""

from pathlib import Path

import pytest

from deployments.engines.exit_causes import find_cause

OUTPUTS = Path(__file__).with_name("exit_outputs")


@pytest.mark.parametrize(
    ("recording", "expected"),
    [
        (
            "vllm_unknown_option",
            "vLLM 0.30.0 does not know the option --enable-prefix-cachign (extra_args); did you mean --enable-prefix-c",
        ),
        ("vllm_refused_value", "vLLM 0.30.0 refuses the value of --dtype (dtype): invalid choice: 'float33'"),
        ("vllm_unknown_tool_parser", "KeyError: 'invalid tool call parser: hermess (chose from"),
        ("vllm_folder_without_model", "Invalid repository ID or local directory specified: '/models/empty'."),
        ("vllm_unknown_model_type", "The checkpoint you are trying to load has model type `fancy`"),
        ("vllm_unknown_architecture", "Model architectures ['FancyForCausalLM'] are not supported for now."),
        ("vllm_context_too_long", "User-specified max_model_len (100000) is greater than the derived max_model_len"),
        ("vllm_hub_out_of_reach", "LocalEntryNotFoundError: Cannot find an appropriate cached snapshot folder"),
        ("vllm_kv_cache_too_big", "Available memory on node 0 (8.17/10.34 GiB) on kv cache allocation is less than"),
        (
            "vllm_heads_not_divisible",
            "Total number of attention heads (9) must be divisible by tensor parallel size (2).",
        ),
    ],
)
def test_the_reason_of_a_recorded_failure_is_found(recording: str, expected: str) -> None:
    """The reason comes first, whichever process printed it and however much was printed after it."""
    cause = find_cause((OUTPUTS / f"{recording}.txt").read_text().splitlines())

    assert expected == (cause or "")[: len(expected)]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (
            ["llama.cpp cannot start: no weights at /w: there is no such file"],
            "no weights at /w: there is no such file",
        ),
        (
            ["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "RuntimeError: shutting down"],
            "CUDA out of memory. Tried to allocate 2 GiB",
        ),
        (["server.py: error: the following arguments are required: x"], "the following arguments are required: x"),
        (["ModuleNotFoundError: No module named 'torch'"], "ModuleNotFoundError: No module named 'torch'"),
        (["KeyboardInterrupt"], None),
        (["INFO: listening", "WARNING 11-25 18:09:55 [a.py:2] RuntimeError: x"], None),
        ([], None),
    ],
)
def test_a_reason_is_one_line_or_nothing(lines: list[str], expected: str | None) -> None:
    """A launcher's own words, memory, exceptions and refused command lines are reasons; a warning is none."""
    assert expected == find_cause(lines)


def test_a_reason_is_not_longer_than_one_reads() -> None:
    """vLLM answers an unknown architecture with the list of the 300 that it knows."""
    assert 604 == len(find_cause([f"ValueError: {'x' * 5000}"]) or "")
