"""Merged answers taken apart, and tokens counted: whatever the vectors look like, and however requests are mixed."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.merging.counting import counting_question, read_counts
from router.merging.splitting import MergedAnswer, NotSplittable

NUMBERS = st.sampled_from(["0", "-0.0", "1e-05", "0.1", "1.0E-7", "-3.4028235e38", "0.012345678901234567"])
VECTORS = st.one_of(
    st.lists(NUMBERS, min_size=1, max_size=4).map(lambda numbers: f"[{', '.join(numbers)}]".encode()),
    st.binary(max_size=8).map(lambda data: orjson.dumps(data.hex())),
)
INPUTS = st.tuples(VECTORS, st.integers(1, 9))
"""An input: its vector as the engine writes it, and how many tokens it has."""
NAME = 'the "embedding": [1] of m'


def answer(inputs: list[tuple[bytes, int]], between: bytes = b", ") -> bytes:
    """As an engine writes it, with spaces of its own."""
    total = sum(count for _, count in inputs)
    entries = between.join(
        b'{"object":"embedding","embedding":%b,"index":%d}' % (vector, index)
        for index, (vector, _) in enumerate(inputs)
    )
    usage = b'{"prompt_tokens":%d,"total_tokens":%d}' % (total, total)
    return b'{"object":"list","model":%b,"data":[%b],"usage":%b}' % (orjson.dumps(NAME), entries, usage)


@given(st.lists(st.lists(INPUTS, min_size=1, max_size=3), min_size=1, max_size=5))
def test_each_request_gets_what_it_would_have_got_alone(requests: list[list[tuple[bytes, int]]]) -> None:
    """Its vectors byte for byte, in its order, with its own usage."""
    merged = MergedAnswer(answer([one for request in requests for one in request]), sum(map(len, requests)))
    place = 0
    for request in requests:
        part = merged.part(place, [count for _, count in request])
        place += len(request)
        assert answer(request, between=b",") == part


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"data": "none", "usage": {"prompt_tokens": 1}},
        {"data": [{"index": 0, "embedding": [1]}], "usage": {"prompt_tokens": 1}},
        {"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}], "usage": {"prompt_tokens": 1}},
        {"data": [{"index": 0, "embedding": [1]}, {"index": 1}], "usage": {"prompt_tokens": 1}},
        {"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1]}]},
    ],
    ids=["no-object", "no-list", "too-few", "one-twice", "no-vector", "no-usage"],
)
def test_what_cannot_be_split(document: Any) -> None:
    """An answer that has not one vector for each of two inputs, or no usage, is of no use."""
    with pytest.raises(NotSplittable):
        MergedAnswer(orjson.dumps(document), 2)


def test_the_order_is_the_inputs() -> None:
    """Though an engine may write its vectors in another."""
    body = orjson.dumps(
        {"data": [{"index": 1, "embedding": "b"}, {"index": 0, "embedding": "a"}], "usage": {"prompt_tokens": 5}}
    )
    parts = [orjson.loads(MergedAnswer(body, 2).part(place, [count])) for place, count in ((0, 2), (1, 3))]
    assert [[{"index": 0, "embedding": "a"}], [{"index": 0, "embedding": "b"}]] == [part["data"] for part in parts]
    assert [2, 3] == [part["usage"]["prompt_tokens"] for part in parts]


@given(st.integers(0, 3), st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_counts(num_special: int, lengths: list[int]) -> None:
    """What llama.cpp says of several texts gives the tokens of each, those at its ends included."""
    tokens = [1] * num_special
    for length in lengths:
        tokens += [-1, *([7] * length)]
    assert [num_special + length for length in lengths] == read_counts({"tokens": tokens}, len(lengths))


@pytest.mark.parametrize("document", [None, {}, {"tokens": [1, -1, 2]}], ids=["nothing", "no-tokens", "too-few"])
def test_no_counts(document: Any) -> None:
    """An answer to another question counts nothing."""
    assert read_counts(document, 2) is None


def test_the_question() -> None:
    """Each text comes after a separator, and before the first there is none that counts."""
    assert ["", -1, "a", -1, "b"] == counting_question(["a", "b"])["content"]
