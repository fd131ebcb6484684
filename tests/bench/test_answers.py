"""What passes for a right answer."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.answers import OneShotAnswer, StreamAnswer


def event(chunk: object) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def token(text: str = " lorem") -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text}}]})


ROLE = event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
USAGE = event({"choices": [], "usage": {"completion_tokens": 3}})
DONE = b"data: [DONE]\n\n"
RIGHT = ROLE + token() * 3 + USAGE + DONE


def problem_of(body: bytes) -> str | None:
    answer = StreamAnswer(3)
    answer.feed(body)
    return answer.problem()


@given(st.lists(st.integers(0, len(RIGHT))))
def test_a_stream_is_read_the_same_however_it_is_cut(cuts: list[int]) -> None:
    """Three tokens are counted and nothing is wrong, wherever the network splits the bytes."""
    edges = [0, *sorted(cuts), len(RIGHT)]
    answer = StreamAnswer(3)
    num_tokens = sum(answer.feed(RIGHT[start:end]) for start, end in itertools.pairwise(edges))
    assert (3, None) == (num_tokens, answer.problem())


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (ROLE + token() * 3 + USAGE, "no [DONE] after 3 chunks"),
        (ROLE + token() * 2 + USAGE + DONE, "2 chunks instead of 3"),
        (ROLE + token() * 3 + DONE, "usage says None tokens instead of 3"),
        (RIGHT + token(), "an event after [DONE]"),
        (ROLE + event({"error": {"message": "lost"}}), """an error event: b'{"error": {"message": "lost"}}'"""),
        (b"data: {nonsense\n\n", "not a chunk: b'{nonsense'"),
    ],
)
def test_a_stream_that_lacks_something_is_told_apart(body: bytes, problem: str) -> None:
    """Each way to be incomplete has its own words."""
    assert problem == problem_of(body)


def test_comments_and_carriage_returns_are_no_tokens() -> None:
    """Keep-alive comments count for nothing, and lines may end in CRLF."""
    assert problem_of(b": keep-alive\n\n" + RIGHT.replace(b"\n", b"\r\n")) is None


def one_shot(body: object) -> str | None:
    answer = OneShotAnswer(16)
    answer.feed(json.dumps(body).encode())
    return answer.problem()


def test_a_right_one_shot_answer_has_no_problem() -> None:
    """Text and as many tokens as were asked for."""
    assert one_shot({"choices": [{"message": {"content": "a"}}], "usage": {"completion_tokens": 16}}) is None


def test_a_short_one_shot_answer_is_a_problem() -> None:
    """Fewer tokens than asked for would make a contender look cheap."""
    found = one_shot({"choices": [{"message": {"content": "a"}}], "usage": {"completion_tokens": 3}})
    assert found == "3 tokens instead of 16"


def test_an_error_body_is_no_answer() -> None:
    """The start of the body is shown."""
    assert """not a chat completion: b'{"error": "no"}'""" == one_shot({"error": "no"})
