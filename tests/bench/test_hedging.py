"""What `bench/hedging.py` makes of what it sees."""

from collections import Counter

import pytest

from bench.hedging import Seen, usage_of

CHUNK = b'data: {"choices":[{"delta":{"content":"a"}}],"usage":null}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [(CHUNK + USAGE + DONE, {"prompt_tokens": 3, "completion_tokens": 2}), (CHUNK + DONE, {}), (b"", {})],
)
def test_the_usage_of_a_stream_is_read(content: bytes, expected: dict[str, int]) -> None:
    """A stream that broke has none, so its answer is an error."""
    assert expected == usage_of(content)


def test_what_engines_did_is_told_for_each_token_of_clients() -> None:
    """A tenth more prompt tokens is what hedging cost."""
    seen = Seen(
        ttft_ms=[20.0, 30.0],
        asked_tokens=Counter(prompt=100, completion=50),
        engine_tokens=Counter(prompt=110, completion=50),
    )
    row = seen.row()
    assert (2, 1.1, 1.0) == (
        row["requests"],
        row["prompt tokens of engines, for each of clients"],
        row["completion tokens of engines, for each of clients"],
    )
