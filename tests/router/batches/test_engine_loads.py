"""Engines' own counts, in the words of those that have some."""

import pytest

from router.batches.engine_loads import read_load


@pytest.mark.parametrize(
    ("text", "load"),
    [
        (b'# HELP x\nvllm:num_requests_running{a="b} 9",c=""} 3.0\nvllm:num_requests_waiting{} 2.0\n', (3, 2)),
        (b'vllm:num_requests_running{e="0"} 1\nvllm:num_requests_running{e="1"} 4 1700000000\n', (5, 0)),
        (b"llamacpp:requests_processing 2\nllamacpp:requests_deferred 7\n", (2, 7)),
        (b"vllm:num_requests_running_total 3\nother 1\n", None),
        (b"vllm:num_requests_running nonsense\nvllm:num_requests_running", None),
        (b"", None),
    ],
)
def test_running_and_waiting_are_read(text: bytes, load: tuple[int, int] | None) -> None:
    """Summed over labels; an engine without these names says nothing."""
    assert load == read_load(text)
