"""What makes one answer differ from another."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.capabilities import CapabilitySettings
from configs.limits import ModelLimits
from configs.roles import RolePolicy
from router.caching.identity import identity_of, is_deterministic
from router.call import ROUTES, Call, parse_call
from router.models.table import Model

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "temperature": 0}


def call(path: str = CHAT, **fields: object) -> Call:
    body = {**(BODY if path == CHAT else {"model": "m", "temperature": 0}), **fields}
    return parse_call(ROUTES[path], orjson.dumps(body))


def identity(one: Call, model: Model | None = None, **other: str) -> dict[str, object]:
    given = {"fingerprint": "f", "tenant": "t", "namespace": "", **other}
    return identity_of(one, model or model_with(), **given)


def model_with(**settings: Any) -> Model:
    return Model("m", ("application",), **settings)


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": True},
        {"stream": True, "stream_options": {"include_usage": True}},
        {"user": "u", "metadata": {"a": "b"}, "store": True, "prompt_cache_key": "k"},
        {"n": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logprobs": False, "stop": [], "tools": []},
        {"top_p": None, "response_format": None},
        {"model": "an-alias"},
    ],
    ids=["stream", "usage", "bookkeeping", "defaults", "nulls", "alias"],
)
def test_what_does_not_change_the_answer_does_not_change_its_identity(fields: dict[str, object]) -> None:
    """Form, bookkeeping, and defaults that are written out."""
    assert identity(call()) == identity(call(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.1}, {"temperature": None}, {"top_p": 0.9}, {"seed": 1}, {"n": 2}, {"max_tokens": 5},
        {"stop": ["x"]}, {"tools": [{"type": "function", "function": {"name": "f"}}]}, {"tool_choice": "none"},
        {"response_format": {"type": "json_object"}}, {"logprobs": True}, {"chat_template_kwargs": {"a": 1}},
        {"messages": [{"role": "user", "content": "Hi "}]}, {"something_new": 1}, {"top_p": 1},
    ],
)  # fmt: skip
def test_everything_else_does(fields: dict[str, object]) -> None:
    """Fields that nobody here knows, too."""
    assert identity(call()) != identity(call(**fields))


@pytest.mark.parametrize("name", ["fingerprint", "tenant", "namespace"])
def test_so_does_where_it_comes_from_and_whose_it_is(name: str) -> None:
    """The engine, the tenant and the client's namespace."""
    assert identity(call()) != identity(call(), **{name: "other"})


TOOLS = [{"type": "function", "function": {"name": "f"}}]


@pytest.mark.parametrize(
    ("one", "settings"),
    [
        pytest.param(call(), {"adapter": "a"}, id="adapter"),
        pytest.param(call(), {"roles": RolePolicy(refuses=("system",))}, id="roles"),
        pytest.param(call(), {"roles": RolePolicy(refuses=())}, id="no roles"),
        pytest.param(call(tools=TOOLS), {"capabilities": CapabilitySettings(tools=False)}, id="tools"),
        pytest.param(
            call("/v1/completions", prompt="a"), {"limits": ModelLimits(max_completion_tokens=5)}, id="limit of a text"
        ),
    ],
)
def test_so_do_settings_that_change_what_the_engine_is_asked(one: Call, settings: dict[str, object]) -> None:
    """What the table before said to the engine was another question, and has another answer."""
    assert identity(one) != identity(one, model_with(**settings))


@pytest.mark.parametrize(
    ("one", "settings"),
    [
        pytest.param(call("/v1/completions", prompt="a"), {"roles": RolePolicy(refuses=("system",))}, id="no chat"),
        pytest.param(call(), {"capabilities": CapabilitySettings(tools=False)}, id="no tools"),
        pytest.param(call(), {"capabilities": CapabilitySettings(vision=True)}, id="images"),
    ],
)
def test_settings_that_change_nothing_do_not(one: Call, settings: dict[str, object]) -> None:
    """What was kept is given on."""
    assert identity(one) == identity(one, model_with(**settings))


def test_the_two_names_of_a_limit_are_one() -> None:
    """`max_tokens` was renamed for chats."""
    assert identity(call(max_tokens=7)) == identity(call(max_completion_tokens=7))


def test_no_log_probabilities_and_zero_of_them_differ() -> None:
    """0 equals False in Python."""
    texts = [call("/v1/completions", prompt="a", **fields) for fields in ({}, {"logprobs": 0})]
    assert identity(texts[0]) != identity(texts[1])


@given(st.permutations(list(BODY.items())))
def test_the_order_of_fields_does_not_matter(items: list[tuple[str, object]]) -> None:
    """Dictionaries are equal in any order, and are hashed sorted."""
    assert identity(call()) == identity(parse_call(ROUTES[CHAT], orjson.dumps(dict(items))))


@pytest.mark.parametrize(
    ("path", "fields", "expected"),
    [
        (CHAT, {}, True),
        (CHAT, {"temperature": 0.0}, True),
        (CHAT, {"temperature": None}, False),
        (CHAT, {"temperature": 1}, False),
        (CHAT, {"temperature": 1, "seed": 0}, True),
        ("/v1/embeddings", {"input": "a", "temperature": None}, True),
    ],
)
def test_what_would_be_said_again(path: str, fields: dict[str, object], *, expected: bool) -> None:
    """Greedy answers, seeded ones, and vectors."""
    assert expected == is_deterministic(call(path, **fields))
