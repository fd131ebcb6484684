"""router.routing.limits and occupancy: what one model takes."""

import orjson
import pytest

from configs.limits import ModelLimits
from router.call import ROUTES, Call, parse_call
from router.errors import ContextLengthExceeded, EngineOverloaded, RateLimited, ServingError
from router.fitting.profiles import PROFILES
from router.models.table import Model
from router.routing.limits import fit_call, fit_unsaid
from router.routing.occupancy import Occupancy


def model(**limits: int) -> Model:
    return Model("m", ("a",), limits=ModelLimits.model_validate(limits))


def chat(text: str = "hi", **fields: object) -> Call:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
    return parse_call(ROUTES["/v1/chat/completions"], orjson.dumps(body))


# sizes


def test_a_request_within_the_limits_is_not_touched() -> None:
    """The client's own bytes go on."""
    call = chat(max_tokens=10)
    assert call is fit_call(call, model(max_prompt_tokens=1000, max_completion_tokens=10))


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, {"max_tokens": 50}),
        ({"max_tokens": 51}, {"max_tokens": 50}),
        ({"max_tokens": None}, {"max_tokens": 50}),
        ({"max_completion_tokens": 900}, {"max_completion_tokens": 50}),
        ({"max_completion_tokens": 20, "max_tokens": 90}, {"max_completion_tokens": 20, "max_tokens": 50}),
        ({"n_predict": -1}, {"n_predict": 50}),
        ({"n_predict": "all", "max_tokens": 5}, {"n_predict": 50, "max_tokens": 5}),
    ],
)
def test_no_answer_is_longer_than_the_model_allows(asked: dict[str, object], sent: dict[str, object]) -> None:
    """Whatever name the client has for the limit; both what is looked at and what is sent are changed."""
    call = fit_call(chat(**asked), model(max_completion_tokens=50))
    expected = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **sent}
    assert (expected, expected) == (call.body, orjson.loads(call.raw))


@pytest.mark.parametrize(
    ("profile", "max_tokens", "sent"), [("vllm", 50, None), ("vllm", 8, 8), ("llama_cpp", 50, 50), ("front", 50, 50)]
)
def test_a_text_completion_without_a_limit_is_never_made_longer(
    profile: str, max_tokens: int, sent: int | None
) -> None:
    """vLLM stops after 16 tokens by itself; others go on to the end of their context."""
    call = parse_call(ROUTES["/v1/completions"], b'{"model": "m", "prompt": "a"}')
    limited = model(max_completion_tokens=max_tokens)
    assert sent == fit_unsaid(fit_call(call, limited), limited, PROFILES[profile]).body.get("max_tokens")


def test_a_vector_has_no_completion_tokens() -> None:
    """An engine would not know what to do with the field."""
    call = parse_call(ROUTES["/v1/embeddings"], b'{"model": "m", "input": "a"}')
    assert call is fit_call(call, model(max_completion_tokens=50))


def test_a_prompt_that_is_too_long_is_refused() -> None:
    """With the field that is at fault, and with both numbers."""
    with pytest.raises(ContextLengthExceeded) as caught:
        fit_call(chat("x" * 4000), model(max_prompt_tokens=1000))
    assert ("messages", 400) == (caught.value.param, caught.value.status)
    assert "The prompt has about 1013 tokens, and this model takes 1000 here." == caught.value.message


# at once


def refusal(occupancy: Occupancy, of: Model, tenant: str) -> ServingError | None:
    try:
        occupancy.enter(of, tenant)
    except ServingError as error:
        return error
    return None


def test_a_model_takes_so_many_and_no_more() -> None:
    """Overload is 503, which clients try again; a place that is given back is taken again."""
    occupancy, small = Occupancy(), model(max_requests=2)
    places = [occupancy.enter(small, "a"), occupancy.enter(small, "b")]
    refused = refusal(occupancy, small, "c")
    occupancy.leave(places[0])
    assert (EngineOverloaded, 1.0, None) == (
        type(refused), refused and refused.retry_after_s, refusal(occupancy, small, "c"),
    )  # fmt: skip


def test_one_key_does_not_take_what_is_anothers() -> None:
    """A quota is 429; it is counted for each key and each model."""
    occupancy, small, other = Occupancy(), model(max_requests_per_key=1), Model("other", ("a",))
    occupancy.enter(small, "a")
    refused = refusal(occupancy, small, "a")
    assert (RateLimited, 1.0) == (type(refused), refused and refused.retry_after_s)
    assert (None, None) == (refusal(occupancy, small, "b"), refusal(occupancy, other, "a"))


def test_what_was_refused_holds_no_place() -> None:
    """Else a client that tries again would lock itself out."""
    occupancy, small = Occupancy(), model(max_requests=1, max_requests_per_key=1)
    place = occupancy.enter(small, "a")
    for _ in range(3):
        refusal(occupancy, small, "a")
    occupancy.leave(place)
    assert refusal(occupancy, small, "a") is None
