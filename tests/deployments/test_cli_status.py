"""`enginehouse status`: what it prints of one router."""

from deployments.commands.status import doubt_lines, status_lines, trouble_lines, turn_lines
from deployments.rollout import Progress, Stage


def test_names_are_printed() -> None:
    """Of models and of rules."""
    assert ["serves small, auto"] == status_lines({"names": ["small", "auto"], "refused": None, "turns": []})


def test_a_refused_table_is_printed_with_its_reason() -> None:
    """A line for each mistake, under the moment at which it was refused."""
    refused = {"at": 1_800_000_000.5, "reason": "models.a: bad\nmodels.b: worse", "is_in_force": False}
    assert [
        "serves no model",
        "refused the table of 2027-01-15 08:00:00+00:00, the one before it stays in force:",
        "  models.a: bad",
        "  models.b: worse",
    ] == status_lines({"names": [], "refused": refused, "turns": []})


def test_a_table_that_does_not_fit_is_printed_with_its_reason() -> None:
    """It serves as far as it can."""
    unfit = {"at": 1_800_000_000.5, "reason": "models.a.adapter: bad", "is_in_force": True}
    assert [
        "serves a",
        "its table does not fit, as was found at 2027-01-15 08:00:00+00:00:",
        "  models.a.adapter: bad",
    ] == status_lines({"names": ["a"], "refused": unfit, "turns": []})


def test_models_that_take_turns_are_printed_by_group() -> None:
    """Who is awake, and for how long; a clock that went back makes no time negative."""
    turns = [
        {"group": "a", "model": "chat", "state": "asleep", "since": 1_000.0},
        {"group": "a", "model": "code", "state": "awake", "since": 1_013.0},
        {"group": "b", "model": "vectors", "state": "awake", "since": 990.0},
    ]
    assert [
        "group a: chat asleep for 12 s, code awake for 0 s",
        "group b: vectors awake for 22 s",
    ] == turn_lines(turns, 1_012.0)


def test_replicas_that_are_passed_over_are_printed() -> None:
    """Once, though both doors of a router met the same one, with every reason."""
    doubts = [
        {"model": "a", "replica_id": "x1", "is_failing": True, "may_stand_still": False},
        {"model": "a", "replica_id": "x2", "is_failing": False, "may_stand_still": True},
        {"model": "a", "replica_id": "x1", "is_failing": True, "may_stand_still": True},
    ]
    assert [
        "passes over a x1: lost or failing, may stand still",
        "passes over a x2: may stand still",
    ] == doubt_lines(doubts)


def test_a_router_of_an_older_version_says_nothing_of_them() -> None:
    """In an update, both are asked."""
    assert ["serves a"] == status_lines({"names": ["a"], "refused": None, "turns": []})


def test_what_does_not_run_is_printed_with_its_reason() -> None:
    """And nothing of what does."""
    progress = [
        Progress("router", Stage.RUNNING, "ready"),
        Progress("big", Stage.DEPLOYING, "loading, 1 start failed before"),
        Progress("small", Stage.FAILED, "failed", "small did not start; its last lines:\n  no weights"),
    ]
    assert [
        "big: loading, 1 start failed before",
        "small: failed",
        "  small did not start; its last lines:",
        "    no weights",
    ] == trouble_lines(progress)
