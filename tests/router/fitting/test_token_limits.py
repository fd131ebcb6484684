"""router.fitting.token_limits: `max_tokens` that fits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.errors import ContextLengthExceeded
from router.fitting.token_limits import (
    LIMIT_FIELDS,
    MAX_TEMPLATE_TOKENS,
    Clamp,
    decide_clamp,
    requested_limit,
    with_limit,
    without_limit,
)

LIMITS = st.integers(1, 2**31 - 1)
BODIES: st.SearchStrategy[dict[str, object]] = st.fixed_dictionaries(
    {"model": st.just("m")},
    optional={
        "messages": st.just([]),
        "max_tokens": st.none() | LIMITS,
        "max_completion_tokens": st.none() | LIMITS,
        "seed": LIMITS,
    },
)


@pytest.mark.parametrize(
    ("body", "num_body_bytes", "fills", "clamp"),
    [
        ({}, 10_000, True, Clamp.NOTHING),
        ({"max_tokens": None}, 10_000, True, Clamp.NOTHING),
        ({"max_tokens": 900 - MAX_TEMPLATE_TOKENS}, 100, True, Clamp.NOTHING),
        ({"max_tokens": 901 - MAX_TEMPLATE_TOKENS}, 100, True, Clamp.COUNT),
        ({"max_tokens": 999}, 100, True, Clamp.COUNT),
        ({"max_tokens": 1000}, 100, True, Clamp.DROP),
        ({"max_completion_tokens": 1000}, 100, True, Clamp.DROP),
        ({"max_tokens": 1000}, 100, False, Clamp.COUNT),
        ({"max_tokens": 10}, 5000, True, Clamp.COUNT),
        ({"max_tokens": 10, "max_completion_tokens": 5000}, 10, True, Clamp.DROP),
    ],
)
def test_decide_clamp(body: dict[str, object], num_body_bytes: int, *, fills: bool, clamp: Clamp) -> None:
    """With a context of 1000 tokens: what fits for certain, what exceeds it alone, and what depends on the prompt."""
    assert clamp is decide_clamp(body, num_body_bytes, 1000, engine_fills_context=fills)


@given(body=BODIES, num_body_bytes=st.integers(0, 100_000), max_model_len=st.integers(1, 100_000), fills=st.booleans())
def test_a_limit_that_is_left_alone_fits_whatever_the_prompt_is(
    body: dict[str, object], num_body_bytes: int, max_model_len: int, *, fills: bool
) -> None:
    """`NOTHING` only where the limit, the most tokens that so many bytes can be, and a template's fit together."""
    if decide_clamp(body, num_body_bytes, max_model_len, engine_fills_context=fills) is Clamp.NOTHING:
        limit = requested_limit(body)
        assert limit is None or limit + num_body_bytes + MAX_TEMPLATE_TOKENS <= max_model_len


@given(BODIES, st.integers(0, 100_000), st.integers(1, 100_000))
def test_nothing_is_dropped_for_an_engine_that_would_stop_early(
    body: dict[str, object], num_body_bytes: int, max_model_len: int
) -> None:
    """Without a limit, such an engine would stop after its own default instead of at the context's end."""
    decided = decide_clamp(body, num_body_bytes, max_model_len, engine_fills_context=False)
    assert Clamp.DROP is not decided


@given(BODIES, st.integers(0, 1000), st.integers(1, 2000))
def test_a_lowered_limit_fits_exactly(body: dict[str, object], num_prompt_tokens: int, max_model_len: int) -> None:
    """No limit exceeds what the prompt leaves, none grows, and nothing else changes."""
    left = max_model_len - num_prompt_tokens
    if left < 1:
        with pytest.raises(ContextLengthExceeded):
            with_limit(body, num_prompt_tokens, max_model_len)
        return
    fitted = with_limit(body, num_prompt_tokens, max_model_len)
    assert list(body) == list(fitted)
    for name, value in body.items():
        wanted = min(value, left) if name in LIMIT_FIELDS and isinstance(value, int) else value
        assert wanted == fitted[name]


@given(BODIES)
def test_without_limit_only_the_limits_are_gone(body: dict[str, object]) -> None:
    """Every other field stays, in its place."""
    left = without_limit(body)
    assert requested_limit(left) is None
    assert [name for name in body if name not in LIMIT_FIELDS] == list(left)


@pytest.mark.parametrize(("body", "param"), [({"messages": []}, "messages"), ({"prompt": "x"}, "prompt")])
def test_a_prompt_that_leaves_nothing_is_named(body: dict[str, object], param: str) -> None:
    """The error has the field that holds the prompt, and the words that clients look for."""
    with pytest.raises(ContextLengthExceeded, match="maximum context length is 1000 tokens") as exceeded:
        with_limit(body, 1000, 1000)
    assert param == exceeded.value.param
