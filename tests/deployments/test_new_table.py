"""deployments.new_table: tables that a running router does not take over."""

import pytest

from configs.finding import ConfigError
from configs.router import RouterUserConfig
from configs.validation import read_user_config
from deployments.new_table import name_warnings, refusal_text, unknown_applications
from router.routing.policy import PolicyNotFound

CONFIG = RouterUserConfig.model_validate(
    {
        "models": {
            "m": {"application": "coder", "fallbacks": ["spare"], "aliases": ["olmo"]},
            "o1": {"application": "x"},
        },
        "auto": {"gpt-auto": {"rules": [{"model": "m"}]}},
    }
)


def test_applications_that_serve_does_not_have_are_named() -> None:
    """Where the table names them, with the nearest that there is."""
    found = list(unknown_applications(CONFIG, ["router", "coder", "spares"]))
    assert [
        ("models.m.fallbacks[0]", "Serve has no application 'spare'; did you mean 'spares'?"),
        ("models.o1.application", "Serve has no application 'x'"),
    ] == [(each.key, each.message) for each in found]


def test_nothing_is_said_of_those_that_are_there() -> None:
    """Whether they run or are on their way."""
    assert [] == list(unknown_applications(CONFIG, {"coder", "spare", "x"}))


def test_names_that_editors_misread_are_told() -> None:
    """Of models, aliases and rules."""
    assert ["'o1'", "'olmo'", "'gpt-auto'"] == [warning.rpartition(" ")[2] for warning in name_warnings(CONFIG)]


def test_a_refusal_has_a_line_for_each_mistake() -> None:
    """With its key; as it stands in the log and in `/v1/models`."""
    with pytest.raises(ConfigError) as caught:
        read_user_config({"models": {"m": {"application": ""}}, "request": {}})
    assert "models.m.application: must not be empty\nrequest: unknown key; did you mean 'requests'?" == refusal_text(
        caught.value
    )
    assert "no such policy" == refusal_text(PolicyNotFound("no such policy"))
