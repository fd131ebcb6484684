"""deployments.canary.status: both sides of canaries and shadows, as JSON."""

from dataclasses import replace

from configs.backends import CanaryRule
from deployments.canary.book import Book
from deployments.canary.status import status_of
from router.canary.tally import FAILED, Course, Sides, Tally
from router.canary.trial import Ending, Trial

TRIAL = Trial("t1", "m", "new", "sql", 20, (), 5, CanaryRule(), "base", 100.0)


def sides() -> Sides:
    stable, canary, shadow = Tally(), Tally(), Tally()
    stable.counts["ok"] = 9
    canary.counts.update({"ok": 3, FAILED + "engine_timeout": 1, "refused": 2, "left": 1})
    shadow.counts.update({"ok": 4, "equal": 3, "different": 1, "length": 1, "dropped": 2})
    canary.ttft_s.add(0.25)
    return {
        side: Course(tally, Tally()) for side, tally in (("stable", stable), ("canary", canary), ("shadow", shadow))
    }  # type: ignore[misc]


def test_a_canary_is_shown_with_both_sides() -> None:
    """What it gets, how long it has run, and the figures of each side, in all and of late."""
    [found] = status_of(Book((TRIAL,), {"t1": sides()}), (), 160.0)
    assert ("m", "new/sql", "running", None, 20, 5, 60.0) == tuple(
        found[name] for name in ("model", "backend", "state", "reason", "percent", "shadow_percent", "age_s")
    )
    canary, shadow = found["sides"]["canary"]["total"], found["sides"]["shadow"]["total"]
    assert (3, 1, 2, 1, 0.25) == tuple(
        canary[name] for name in ("num_ok", "num_failed", "num_refused", "num_left", "error_ratio")
    )
    assert 230 < canary["ttft_ms"]["p50"] < 270
    assert canary["tpot_ms"]["p50"] is None
    assert (0.75, {"equal": 3, "different": 1, "length": 1, "dropped": 2}) == (
        shadow["parity_ratio"], shadow["compared"],
    )  # fmt: skip
    assert 0 == found["sides"]["canary"]["recent"]["num_ok"]


def test_a_canary_that_ended_is_shown_with_its_reason() -> None:
    """Until the next one begins."""
    over = replace(TRIAL, ending=Ending("aborted", "by its rule: too slow", 150.0))
    [found] = status_of(Book((over,), {}), (), 160.0)
    assert ("aborted", "by its rule: too slow", {}) == (found["state"], found["reason"], found["sides"])


def test_a_shadow_of_the_file_is_shown() -> None:
    """Beside the canaries, with the same figures."""
    shadow = {"model": "m", "backend": "dark", "of": "shadow:m:dark"}
    [found] = status_of(Book((), {"shadow:m:dark": sides()}), (shadow,), 160.0)
    assert ("m", "dark", "shadow") == (found["model"], found["backend"], found["state"])
    assert 4 == found["sides"]["shadow"]["total"]["num_ok"]
