"""router.models.table: what clients may ask for."""

import pytest

from configs.router import ModelRoute, RequestSettings, RouterUserConfig
from router.errors import ModelNotFound
from router.models.table import Model, ModelTable

TABLE = ModelTable(
    RouterUserConfig(
        models={
            "big": ModelRoute(application="big-app", aliases=("gpt-4", "default")),
            "small": ModelRoute(application="small-app"),
        },
        requests=RequestSettings(max_attempts=7),
    )
)


@pytest.mark.parametrize(("name", "model"), [("big", "big"), ("gpt-4", "big"), ("default", "big"), ("small", "small")])
def test_names_and_aliases_lead_to_their_model(name: str, model: str) -> None:
    """An alias is as good as the name."""
    assert model == TABLE.resolve(name).name


@pytest.mark.parametrize("name", ["Big", "big ", "", "gpt-5"])
def test_any_other_name_is_not_found(name: str) -> None:
    """Names are exact; the error names the field and what there is instead."""
    with pytest.raises(ModelNotFound) as missing:
        TABLE.resolve(name)
    assert "model" == missing.value.param
    assert missing.value.message.endswith("Models here: big, default, gpt-4, small.")


def test_a_long_name_is_not_repeated_whole() -> None:
    """A client's megabyte does not come back to it, nor go to the log."""
    with pytest.raises(ModelNotFound) as missing:
        TABLE.resolve("x" * 100_000)
    assert 500 > len(missing.value.message)


def test_the_table_has_the_settings_of_its_version() -> None:
    """Models, applications and limits come and go together."""
    requests = RequestSettings(max_attempts=7)
    big = Model("big", ("big-app",), ("gpt-4", "default"), requests=requests)
    assert (big, Model("small", ("small-app",), requests=requests)) == TABLE.models
    assert {"big-app", "small-app"} == TABLE.applications
    assert 7 == TABLE.requests.max_attempts


def test_an_empty_table_says_so() -> None:
    """A router without models answers, with an honest 404."""
    with pytest.raises(ModelNotFound, match="Models here: none"):
        ModelTable(RouterUserConfig(models={})).resolve("m")
