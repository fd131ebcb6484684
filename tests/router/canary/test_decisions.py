"""router.canary.decisions: which canaries may begin, and which end."""

from dataclasses import replace

import pytest

from configs.backends import BackendSettings, CanaryRule
from configs.router import ModelRoute, RouterUserConfig
from router.canary.decisions import read_row, row_of, ruled_out, superseded, why_not
from router.canary.tally import FAILED, Course, Tally
from router.canary.trial import Ending, Trial, base_of

BACKENDS = (BackendSettings(application="a", weight=3), BackendSettings(application="idle", weight=0))
ROUTE = ModelRoute(backends=BACKENDS, aliases=("default",))
CONFIG = RouterUserConfig(models={"m": ROUTE})
TRIAL = Trial("t1", "m", "new", None, 20, (), 0, CanaryRule(min_requests=1), base_of(ROUTE), 100.0)
ROW = row_of(CONFIG, (), "m")


def test_a_row_is_found_by_an_alias_and_read_as_it_was_written() -> None:
    """Routers tell the command line of it in JSON."""
    row = row_of(CONFIG, (TRIAL,), "default")
    assert row is not None
    assert ROW == row == read_row(row.document())
    assert ("m", {"a": 3.0, "idle": 0.0}, ("a", "idle")) == (row.name, row.weights, row.applications)
    assert row_of(CONFIG, (), "n") is None


@pytest.mark.parametrize(
    ("wanted", "running", "why"),
    [
        (TRIAL, None, None),
        (replace(TRIAL, application="idle"), None, None),
        (TRIAL, replace(TRIAL, percent=5), None),
        (replace(TRIAL, percent=0), None, "it would get nothing: give a percentage, a tenant, or a percentage to copy"),
        (replace(TRIAL, application="a"), None, "'a' is a backend of 'm' already, with a weight above 0"),
        (TRIAL, replace(TRIAL, adapter="sql"), "'new/sql' is tried on 'm' already: promote or abort it first"),
    ],
)
def test_a_canary_begins_where_there_is_room_for_it(wanted: Trial, running: Trial | None, why: str | None) -> None:
    """A new backend, one that stands by, or the one that is tried, with another part."""
    assert ROW is not None
    assert why == why_not(wanted, ROW, running)


def test_a_file_that_decides_anew_ends_what_ran_and_what_was_promoted() -> None:
    """Other backends in the model's row, or no such row; what is over stays as it ended."""
    promoted, aborted = (replace(TRIAL, ending=Ending(state, "", 1.0)) for state in ("promoted", "aborted"))  # type: ignore[arg-type]
    other = RouterUserConfig(models={"m": ModelRoute(application="new")})
    found = list(superseded((TRIAL, promoted, aborted), other, 9.0))
    assert [TRIAL, promoted] == [trial for trial, _ in found]
    assert {Ending("superseded", "the deployed file has other backends for the model", 9.0)} == {
        end for _, end in found
    }
    assert ["the deployed file has no such model any more"] == [
        end.reason for _, end in superseded((TRIAL,), RouterUserConfig(models={}), 9.0)
    ]
    assert [] == list(superseded((TRIAL, promoted), CONFIG, 9.0))


def test_a_bad_canary_is_ruled_out_once() -> None:
    """By its own figures, as long as it runs."""
    good, bad = Tally(), Tally()
    good.counts["ok"], bad.counts[FAILED + "engine_failed"] = 1, 1
    tallies = {"t1": {"stable": Course(good, good), "canary": Course(bad, bad)}}
    [(trial, ending)] = ruled_out((TRIAL,), tallies, 9.0)  # type: ignore[arg-type]
    assert (TRIAL, "aborted", 9.0) == (trial, ending.state, ending.at)
    assert ending.reason.startswith("by its rule: in the last 10 minutes, 1 of its 1 requests failed")
    assert [] == list(ruled_out((replace(TRIAL, ending=ending),), tallies, 9.0))  # type: ignore[arg-type]
