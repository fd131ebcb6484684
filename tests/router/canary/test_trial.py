"""router.canary.trial: a canary as it is kept, and what it makes of a model."""

from dataclasses import asdict, replace

import orjson
import pytest

from configs.backends import BackendSettings, CanaryRule, ShadowSettings
from configs.router import ModelRoute, RouterUserConfig
from router.canary.backends import Backend
from router.canary.shadow import shadow_of
from router.canary.trial import Ending, Trial, base_of, shares_with
from router.models.table import ModelTable

ROUTE = ModelRoute(application="old", fallbacks=("spare",))
TRIAL = Trial(
    id="t1", model="m", application="new", adapter=None, percent=20, tenants=("0123456789abcdef",), shadow_percent=0,
    rule=CanaryRule(min_requests=7), base=base_of(ROUTE), started_at=100.0,
)  # fmt: skip
PROMOTED = replace(TRIAL, ending=Ending("promoted", "by command", 200.0))


def table(*trials: Trial, route: ModelRoute = ROUTE) -> ModelTable:
    return ModelTable(RouterUserConfig(models={"m": route}), trials)


def test_a_canary_is_read_as_it_was_written() -> None:
    """Its rule and its ending, which is kept apart, included."""
    ending = Ending("aborted", "too slow", 300.0)
    assert TRIAL == Trial.decode(TRIAL.encode())
    assert (ending, None) == (Ending.decode(orjson.dumps(asdict(ending))), Ending.decode(None))


def test_what_a_canary_gets_is_told() -> None:
    """All of it, and nothing that is zero."""
    all_of_it = replace(TRIAL, shadow_percent=5)
    assert "20 % of its sessions, those of 1 tenants, copies of 5 % of its requests" == all_of_it.portion
    assert "20 % of its sessions" == replace(TRIAL, tenants=()).portion


def test_a_canary_takes_its_part() -> None:
    """What is left is shared as before, and a standby of the file stays one."""
    backends = [Backend("a", weight=3), Backend("b", weight=1), Backend("new", weight=0)]
    shares = shares_with(backends, None, TRIAL)
    assert {"a": 0.6, "b": 0.2, "new": 0.2} == {one.label: round(one.weight, 9) for one in shares}
    assert all(one.stands_by for one in shares)


def test_a_canary_of_the_file_does_not_stand_by() -> None:
    """It is for its own sessions, unless the file names it."""
    assert {"old": True, "new": False} == {one.label: one.stands_by for one in table(TRIAL).models[0].backends}


def test_the_canarys_tenants_are_its_own() -> None:
    """Also those that the file sends elsewhere."""
    shares = shares_with([Backend("a", tenants=frozenset(TRIAL.tenants))], None, TRIAL)
    assert {"a": frozenset(), "new": frozenset(TRIAL.tenants)} == {one.label: one.tenants for one in shares}


def test_all_of_the_sessions_leave_the_others_to_stand_by() -> None:
    """100 % is the whole model."""
    assert [("new", 1.0), ("a", 0.0)] == [
        (one.label, one.weight) for one in shares_with([Backend("a")], None, replace(TRIAL, percent=100))
    ]


def test_what_is_promoted_is_the_models_own() -> None:
    """Before its fallbacks; the old backend is gone."""
    found = table(PROMOTED)
    assert ("new", "spare") == found.models[0].applications
    assert {"new", "spare"} == found.applications


@pytest.mark.parametrize("state", ["aborted", "superseded"])
def test_what_has_ended_is_gone(state: str) -> None:
    """As if it had never been."""
    over = replace(TRIAL, ending=Ending(state, "", 0.0))  # type: ignore[arg-type]
    assert table().models == table(over).models


def test_a_file_with_other_backends_ends_it() -> None:
    """A row whose backends have changed knows nothing of a canary, running or promoted; other changes do not matter."""
    moved = ModelRoute(application="newer", fallbacks=("spare",))
    renamed = ModelRoute(application="old", aliases=("default",))
    assert ("newer", "spare") == table(TRIAL, PROMOTED, route=moved).models[0].applications
    assert TRIAL == table(TRIAL, route=renamed).models[0].trial


def test_a_canary_after_a_promotion_is_tried_on_what_was_promoted() -> None:
    """The latest promotion counts."""
    second = replace(TRIAL, id="t2", application="newest", started_at=300.0)
    assert {"new": 0.8, "newest": 0.2} == {
        one.label: round(one.weight, 9) for one in table(PROMOTED, second).models[0].backends
    }
    both = table(PROMOTED, replace(second, ending=Ending("promoted", "", 400.0)))
    assert ("newest", "spare") == both.models[0].applications


def test_a_canarys_shadow_comes_before_the_files() -> None:
    """Copies of one model go to one backend."""
    settings = ShadowSettings(application="other", ratio=0.5)
    of_file = shadow_of("m", settings, TRIAL)
    of_trial = shadow_of("m", settings, replace(TRIAL, shadow_percent=30))
    assert of_file is not None
    assert of_trial is not None
    assert ("other", 0.5) == (of_file.backend.label, of_file.ratio)
    assert ("new", 0.3, "t1") == (of_trial.backend.label, of_trial.ratio, of_trial.tally_id)


def test_a_shadow_is_watched() -> None:
    """Its application is one that the router has to know the replicas of."""
    route = ModelRoute(application="old", shadow=ShadowSettings(application="dark", ratio=1))
    assert {"old", "dark"} == table(route=route).applications
    assert {"old"} == set(table(route=route).models[0].applications)


def test_backends_of_the_file_are_asked_by_weight() -> None:
    """The greatest first; what is standing by comes before the fallbacks."""
    backends = (BackendSettings(application="b", weight=0), BackendSettings(application="a"))
    route = ModelRoute(backends=backends, fallbacks=("spare",))
    assert ("a", "b", "spare") == table(route=route).models[0].applications == route.applications
