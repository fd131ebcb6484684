"""router.routing.rules: which rule fits."""

import datetime as dt
from typing import Any

import pytest

from configs.routing import AutoRoute, RuleConditions
from router.routing.facts import Facts
from router.routing.policy import Decision
from router.routing.rules import FACTS, Rules

KEY = "0123456789abcdef" * 4


def facts_of(**body: object) -> Facts:
    headers = [(b"user-agent", b"GitHubCopilotChat/0.67.0")]
    at = dt.datetime(2026, 11, 30, 22, 30, tzinfo=dt.UTC)
    return Facts("generate", "messages", {"messages": [], **body}, 4000, headers, KEY, at)


def rules_of(*rules: dict[str, Any], time_zone: str = "UTC") -> Rules:
    return Rules(AutoRoute.model_validate({"rules": [*rules, {"model": "rest"}], "time_zone": time_zone}))


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ({"task": "generate"}, True),
        ({"task": "embed"}, False),
        ({"min_prompt_tokens": 1000}, True),
        ({"min_prompt_tokens": 1001}, False),
        ({"max_prompt_tokens": 1000}, True),
        ({"max_prompt_tokens": 999}, False),
        ({"has_tools": False}, True),
        ({"has_tools": True}, False),
        ({"has_images": False, "is_fim": False, "wants_json": False}, True),
        ({"languages": ["go", "python"]}, True),
        ({"languages": ["go"]}, False),
        ({"editors": ["codex", "copilot"]}, True),
        ({"editors": ["codex"]}, False),
        ({"user_agents": ["curl", "githubCopilot"]}, True),
        ({"user_agents": ["copilot"]}, False),
        ({"tenants": ["ffffffff", "01234567"]}, True),
        ({"tenants": ["12345678"]}, False),
        ({"hours": "22-6"}, True),
        ({"hours": "8-22"}, False),
        ({"has_tools": False, "task": "embed"}, False),
    ],
)
def test_a_rule_fits_when_all_of_its_conditions_hold(when: dict[str, Any], *, fits: bool) -> None:
    """Each of them on a request of 4,000 bytes from Copilot, at half past ten in the evening."""
    body = {"messages": [{"role": "user", "content": "main.py"}]}
    chosen = rules_of({"model": "special", "when": when})(facts_of(**body)).model
    assert ("special" if fits else "rest") == chosen


def test_the_first_rule_that_fits_decides() -> None:
    """By its name, or by its place where it has none."""
    rules = rules_of(
        {"model": "a", "when": {"has_tools": True}},
        {"model": "b", "when": {"min_prompt_tokens": 500}},
        {"model": "c", "name": "mine", "when": {"min_prompt_tokens": 100}},
    )
    assert Decision("b", "rule-2") == rules(facts_of())


def test_hours_are_those_of_the_rules_own_zone() -> None:
    """Half past ten in the evening in UTC is half past seven in the morning in Tokyo."""
    rules = rules_of({"model": "day", "when": {"hours": "7-8"}}, time_zone="Asia/Tokyo")
    assert "day" == rules(facts_of()).model


def test_a_rule_gathers_only_what_it_looks_at() -> None:
    """And nothing after the first condition that does not hold."""
    facts = facts_of()
    rules_of({"model": "a", "when": {"has_tools": True, "languages": ["go"]}})(facts)
    assert {"has_tools"} == {name for name in vars(facts) if name not in Facts.__dataclass_fields__}


def test_every_condition_has_its_fact() -> None:
    """A setting that no code looks at would hold for everybody."""
    assert {*RuleConditions.model_fields} == {*FACTS, "hours"}
