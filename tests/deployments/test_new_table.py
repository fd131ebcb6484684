"""deployments.new_table: tables that a running router does not take over."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import pytest

from configs.checks.model_table import unfit_table
from configs.checks.validation import read_user_config
from configs.finding import ConfigError, Problem, key_path_text
from configs.router import RouterUserConfig
from configs.serve_file import MODEL_IMPORT_PATH, ROUTER_IMPORT_PATH
from deployments.new_table import engines_of, name_warnings, refusal_text, unknown_applications
from deployments.serve_internals import DeployedApplication
from router.routing.policy import PolicyNotFound

Json: TypeAlias = dict[str, Any]

CONFIG = RouterUserConfig.model_validate(
    {
        "models": {
            "m": {"application": "coder", "fallbacks": ["spare"], "aliases": ["olmo"]},
            "o1": {"application": "x"},
        },
        "auto": {"gpt-auto": {"rules": [{"model": "m"}]}},
    }
)


def deployed(**args: Json) -> dict[str, DeployedApplication]:
    """Models with these `args`, beside a router and what did not come from a file."""
    models = {name: DeployedApplication(MODEL_IMPORT_PATH, each) for name, each in args.items()}
    return {"router": DeployedApplication(ROUTER_IMPORT_PATH, {}), "handmade": DeployedApplication("", {}), **models}


def table(**models: Json) -> RouterUserConfig:
    return RouterUserConfig.model_validate({"models": models})


def told(problems: Iterable[Problem]) -> list[tuple[str, str]]:
    return [(key_path_text(each.path), each.message) for each in problems]


def test_applications_that_serve_does_not_have_are_named() -> None:
    """Where the table names them, with the nearest that there is."""
    assert [
        ("models.m.fallbacks[0]", "Serve has no application 'spare'; did you mean 'spares'?"),
        ("models.o1.application", "Serve has no application 'x'"),
    ] == told(unknown_applications(CONFIG, deployed(coder={}, spares={})))


def test_an_application_that_is_no_model_is_named() -> None:
    """The router itself, say."""
    config = table(m={"application": "router"}, n={"application": "handmade"})
    message = "the application 'router' is no model: its import_path is not 'deployments.app:model'"
    assert [("models.m.application", message)] == told(unknown_applications(config, deployed()))


def test_nothing_is_said_of_those_that_are_there() -> None:
    """Whether they run or are on their way."""
    assert [] == list(unknown_applications(CONFIG, deployed(coder={}, spare={}, x={})))


def test_adapters_that_an_engine_does_not_have_are_named() -> None:
    """Of every backend and of the shadow, by the engine's settings of now; of unknown engines nothing is said."""
    engines = engines_of(
        deployed(
            coder={"engine": "vllm", "model": "m", "model_source": "org/m", "lora_adapters": {"sql": "org/sql"}},
            small={"engine": "simulated", "model": "s"},
            wrong={"engine": "vllm"},
        )
    )
    config = table(
        m={"application": "coder", "adapter": "sqll"},
        n={
            "backends": [{"application": "coder", "adapter": "sql"}, {"application": "small", "adapter": "sql"}],
            "shadow": {"application": "coder", "adapter": "js", "ratio": 0.5},
        },
        o={"application": "handmade", "adapter": "sql"},
        p={"application": "wrong", "adapter": "sql"},
    )
    assert [
        ("models.m.adapter", "the application 'coder' has no LoRA adapter 'sqll'; did you mean 'sql'?"),
        ("models.n.backends[1].adapter", "the application 'small' has no LoRA adapter 'sql'"),
        ("models.n.shadow.adapter", "the application 'coder' has no LoRA adapter 'js'"),
    ] == told(unfit_table(config, engines))


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
