"""router.routing.explanation: what it explains is what the router does."""

import datetime as dt
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.router import RouterUserConfig
from router.call import ROUTES, Call, parse_call
from router.canary.choice import choose_backend
from router.errors import ContextLengthExceeded, ModelNotFound
from router.models.table import ModelTable
from router.routing.explanation import explain
from router.routing.facts import Facts

TABLE = ModelTable(
    RouterUserConfig.model_validate(
        {
            "models": {
                "small": {"application": "small", "aliases": ["default"], "limits": {"max_prompt_tokens": 1000}},
                "big": {"application": "big", "fallbacks": ["spare"], "limits": {"max_completion_tokens": 9}},
            },
            "auto": {
                "auto": {
                    "rules": [
                        {"name": "agent", "when": {"has_tools": True, "min_prompt_tokens": 50}, "model": "big"},
                        {"name": "rust", "when": {"languages": ["rust"]}, "model": "big"},
                        {"name": "rest", "model": "default"},
                    ]
                }
            },
        }
    )
)


def asked(name: str, text: str = "hi", **fields: object) -> tuple[Call, Facts]:
    body = {"model": name, "messages": [{"role": "user", "content": text}], **fields}
    call = parse_call(ROUTES["/v1/chat/completions"], orjson.dumps(body))
    facts = Facts("generate", "messages", call.body, len(call.raw), [], "", dt.datetime.now(dt.UTC))
    return call, facts


def test_each_rule_is_said_to_fit_or_not() -> None:
    """And each of its conditions, with the fact that it was held against; only one rule is the chosen one."""
    explanation = explain(TABLE, *asked("auto", "src/lib.rs", tools=[{}]))
    assert [("agent", False, False), ("rust", True, True), ("rest", True, False)] == [
        (rule.name, rule.fits, rule.is_chosen) for rule in explanation.rules
    ]
    held = [(each.condition, each.wanted, each.fact, each.holds) for each in explanation.rules[0].conditions]
    assert [("min_prompt_tokens", 50, 20, False), ("has_tools", True, True, True)] == held
    assert ("big", "big", ["spare"], 9) == (
        explanation.model, explanation.application, explanation.fallbacks, explanation.max_completion_tokens,
    )  # fmt: skip
    assert "model=big; application=big; rule=auto/rust" == explanation.header


def test_the_name_of_a_model_needs_no_rules() -> None:
    """It is that model."""
    explanation = explain(TABLE, *asked("default"))
    assert ([], "small", "model=small; application=small") == (
        explanation.rules, explanation.model, explanation.header,
    )  # fmt: skip


def test_a_request_that_the_model_does_not_take_is_said_to_be_refused() -> None:
    """As the router would answer it."""
    assert isinstance(explain(TABLE, *asked("auto", "x" * 9000)).refusal, ContextLengthExceeded)


def test_a_name_that_there_is_not_is_not_found() -> None:
    """The names of rules are among those that there are."""
    with pytest.raises(ModelNotFound, match="Models here: auto, big, default, small"):
        explain(TABLE, *asked("autos"))


@given(
    st.sampled_from(["auto", "big", "default"]),
    st.text(max_size=60) | st.sampled_from(["a.rs", "x" * 300]),
    st.booleans(),
)
def test_what_is_explained_is_what_is_done(name: str, text: str, has_tools: bool) -> None:  # noqa: FBT001 - hypothesis's
    """Whatever the request."""
    call, facts = asked(name, text, **({"tools": [{}]} if has_tools else {}))
    choice = TABLE.choose(name, lambda: facts)
    explanation = explain(TABLE, call, facts)
    chosen = [f"{name}/{rule.name}" for rule in explanation.rules if rule.is_chosen]
    assert (choice.model.name, [choice.rule] if choice.rule else []) == (explanation.model, chosen)


SHARED = ModelTable(
    RouterUserConfig.model_validate(
        {
            "models": {
                "m": {
                    "backends": [
                        {"application": "small", "tenants": ["0123456789abcdef"]},
                        {"application": "big", "weight": 2},
                    ]
                }
            }
        }
    )
)


def test_of_several_backends_that_of_the_session_is_said() -> None:
    """As the router chooses it, so a session may get the smaller one; the other is asked after it."""
    explained, done = [], []
    for number in range(20):
        call, facts = asked("m")
        call.session = b"s%d" % number
        explanation = explain(SHARED, call, facts)
        assert "that of the session" == explanation.backend
        explained.append([explanation.application, *explanation.fallbacks])
        done.append(list(choose_backend(SHARED.resolve("m"), call, "").applications))
    assert done == explained
    assert {"small", "big"} == {application for application, *_ in explained}


def test_a_tenant_with_a_backend_of_its_own_gets_that() -> None:
    """Whatever the session."""
    call, facts = asked("m")
    explanation = explain(SHARED, call, replace(facts, tenant="0123456789abcdef" * 4))
    assert ("small", "that of the API key") == (explanation.application, explanation.backend)


def test_where_chance_chooses_the_greatest_is_said() -> None:
    """A short prompt of nobody is no session."""
    body = {"model": "m", "prompt": "hi"}
    call = parse_call(ROUTES["/v1/completions"], orjson.dumps(body))
    facts = Facts("generate", "prompt", call.body, len(call.raw), [], "", dt.datetime.now(dt.UTC))
    explanation = explain(SHARED, call, facts)
    assert ("big", "by chance, by its weight: the request has no session") == (
        explanation.application, explanation.backend,
    )  # fmt: skip
