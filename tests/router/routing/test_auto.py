"""router.routing.auto and policy: a policy of one's own before the rules."""

import datetime as dt
from pathlib import Path

import pytest

from configs.routing import AutoRoute
from router.routing.auto import Auto
from router.routing.facts import Facts
from router.routing.policy import Decision, PolicyNotFound

POLICY = """
from router.routing.policy import Decision

def choose(facts):
    return {answer}
"""
BY_RULES = Decision("rest", "rule-1")


@pytest.fixture
def facts() -> Facts:
    return Facts("generate", "messages", {"tools": [1]}, 100, [], "", dt.datetime.now(dt.UTC))


def auto_with(policy: str) -> Auto:
    settings = {"policy": policy, "policy_models": ["big"], "rules": [{"model": "rest"}]}
    return Auto("auto", AutoRoute.model_validate(settings))


@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        ("Decision('big', 'learned') if facts.has_tools else None", Decision("big", "learned")),
        ("None", BY_RULES),
        ("Decision('huge', 'learned')", BY_RULES),
        ("Decision('big', 'learned\\r\\nset-cookie: a')", BY_RULES),
        ("'big'", BY_RULES),
        ("facts.nothing", BY_RULES),
    ],
    ids=["chooses", "leaves it", "may not", "breaks headers", "wrong type", "fails"],
)
def test_the_rules_decide_where_the_policy_does_not(
    answer: str, decision: Decision, facts: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor may: a request gets a model whatever foreign code does."""
    name = f"policy_{abs(hash(answer))}"
    (tmp_path / f"{name}.py").write_text(POLICY.format(answer=answer), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert decision == auto_with(f"{name}:choose").decide(facts)


def test_a_policy_that_always_fails_does_not_fill_the_log(
    facts: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the first failure, with its traceback, and the next one only after a while."""
    (tmp_path / "failing_policy_of_a_test.py").write_text(POLICY.format(answer="facts.nothing"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    auto = auto_with("failing_policy_of_a_test:choose")
    for _ in range(3):
        auto.decide(facts)
    assert ["the policy of 'auto' failed: the rules decide"] == caplog.messages
    assert "AttributeError" in caplog.text


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("no_such_module:choose", "cannot be imported: No module named 'no_such_module'"),
        ("json:choose", "cannot be imported: module 'json' has no attribute 'choose'"),
        ("json:__name__", "is no function"),
    ],
)
def test_a_policy_that_is_not_there_is_no_table(policy: str, words: str) -> None:
    """It is said when the table is made, and not to the first client."""
    with pytest.raises(PolicyNotFound, match=words):
        auto_with(policy)


def test_a_policy_that_fails_when_it_is_imported_is_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients see the reason in `/v1/models`: the kind of error, not its text."""
    (tmp_path / "broken_policy_of_a_test.py").write_text("raise RuntimeError('secret')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PolicyNotFound) as caught:
        auto_with("broken_policy_of_a_test:choose")
    assert "the policy 'broken_policy_of_a_test:choose' fails with RuntimeError when it is imported" == str(
        caught.value
    )
