"""configs.routing: what one rule's conditions leave for the rules after it."""

from typing import Any

import pytest

from configs.checks.validation import read_user_config
from configs.finding import ConfigError
from configs.router import RouterUserConfig
from configs.routing import RuleConditions, hours_in


def conditions(**given: Any) -> RuleConditions:
    return RuleConditions.model_validate(given)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({}, {"has_tools": True}),
        ({"min_prompt_tokens": 10}, {"min_prompt_tokens": 10, "is_fim": False}),
        ({"max_prompt_tokens": 10}, {"max_prompt_tokens": 9}),
        ({"languages": ["go", "rust"]}, {"languages": ["rust"]}),
        ({"user_agents": ["Qwen"]}, {"user_agents": ["qwen/1", "QwenCode"]}),
        ({"tenants": ["00112233"]}, {"tenants": ["0011223344"]}),
        ({"hours": "20-8"}, {"hours": "22-6"}),
        ({"task": "embed"}, {"task": "embed", "editors": ["codex"]}),
    ],
)
def test_wider_conditions_cover_narrower_ones(wide: dict[str, Any], narrow: dict[str, Any]) -> None:
    """And not the other way round, but where both are the same."""
    assert (True, False) == (
        conditions(**wide).covers(conditions(**narrow)),
        conditions(**narrow).covers(conditions(**wide)),
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"has_tools": True}, {"has_tools": False}),
        ({"min_prompt_tokens": 10}, {"max_prompt_tokens": 20}),
        ({"languages": ["go"]}, {"languages": ["go", "rust"]}),
        ({"hours": "8-18"}, {"hours": "17-19"}),
    ],
)
def test_conditions_that_overlap_do_not_cover_each_other(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Some request fits the second and not the first."""
    assert not conditions(**first).covers(conditions(**second))


@pytest.mark.parametrize(
    ("span", "hours"), [("8-11", {8, 9, 10}), ("22-2", {22, 23, 0, 1}), ("22-24", {22, 23}), ("0-1", {0})]
)
def test_a_span_ends_before_its_second_hour(span: str, hours: set[int]) -> None:
    """Over midnight as well."""
    assert hours == hours_in(span)


def test_a_user_config_without_its_file_is_read() -> None:
    """What Serve hands over is what the file had."""
    models = {"models": {"m": {"application": "a"}}, "auto": {"auto": {"rules": [{"model": "m"}]}}}
    assert RouterUserConfig.model_validate(models) == read_user_config(models)


def test_each_mistake_in_a_user_config_is_named() -> None:
    """By its key, in a sentence; as `enginehouse check` would say."""
    with pytest.raises(ConfigError) as caught:
        read_user_config({"models": {"m": {"application": "", "aliases": ["no good"]}, "bad name": {}}})
    assert {
        ("models.m.application", "must not be empty"),
        ("models.m.aliases[0]", "'no good' must match ^[A-Za-z0-9][A-Za-z0-9._/:@+-]*$"),
    } < {(finding.key, finding.message) for finding in caught.value.findings}
