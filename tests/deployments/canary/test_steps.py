"""deployments.canary.steps: what commands write, while others write at the same moment."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import pytest

from configs.backends import CanaryRule
from deployments.canary import book as book_module
from deployments.canary.book import end_trial, read_book
from deployments.canary.steps import StepError, begin, confirm, end
from router.canary.decisions import Row
from router.canary.trial import Ending, Trial

ROW = Row("m", "base", {"old": 1.0}, CanaryRule(), ("old",))
TRIAL = Trial("t1", "m", "new", None, 20.0, (), 0.0, CanaryRule(), "base", 100.0)
BY_RULE = Ending("aborted", "by its rule: too slow", 150.0)


class Notes:
    """Ray's key-value store. `meanwhile` is done once, between what a command reads and what it writes."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.meanwhile: Callable[[], object] | None = None

    def put(self, key: str, value: bytes, *, overwrite: bool = True) -> bool:
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        is_first = key not in self.kept
        if is_first or overwrite:
            self.kept[key] = value
        return is_first

    def read(self, prefix: str) -> dict[str, bytes]:
        return {key: value for key, value in self.kept.items() if key.startswith(prefix)}

    def forget(self, *keys: str) -> None:
        for key in keys:
            self.kept.pop(key, None)


@pytest.fixture(autouse=True)
def notes(monkeypatch: pytest.MonkeyPatch) -> Notes:
    made = Notes()
    monkeypatch.setattr(book_module, "put_note", made.put)
    monkeypatch.setattr(book_module, "read_notes", made.read)
    monkeypatch.setattr(book_module, "forget_notes", made.forget)
    return made


def test_a_canary_begins_and_gets_more() -> None:
    """It stays the same one, with what was written last."""
    confirm(begin(TRIAL, ROW))
    confirm(begin(replace(TRIAL, id="t2", percent=60.0, started_at=200.0), ROW))
    assert (replace(TRIAL, percent=60.0),) == read_book().trials


def test_of_two_that_begin_at_the_same_moment_one_does(notes: Notes) -> None:
    """The other is told, and has written nothing."""
    notes.meanwhile = lambda: begin(TRIAL, ROW)
    with pytest.raises(StepError, match="another command changed the canary of 'm' at the same moment: nothing was"):
        begin(replace(TRIAL, id="t2", application="newer"), ROW)
    assert (TRIAL,) == read_book().trials


def test_of_two_that_change_it_at_the_same_moment_one_does(notes: Notes) -> None:
    """With what it was told, and not a mixture."""
    begin(TRIAL, ROW)
    notes.meanwhile = lambda: begin(replace(TRIAL, percent=60.0), ROW)
    with pytest.raises(StepError, match="another command changed"):
        begin(replace(TRIAL, percent=5.0), ROW)
    assert [60.0] == [trial.percent for trial in read_book().trials]


def test_one_that_ends_while_it_is_changed_is_said_to_have_ended(notes: Notes) -> None:
    """By its rule, say, which routers look at each second."""
    begin(TRIAL, ROW)
    notes.meanwhile = lambda: end_trial(TRIAL, BY_RULE)
    changed = begin(replace(TRIAL, percent=60.0), ROW)
    with pytest.raises(
        StepError, match="the canary 'new' of 'm' was aborted at the same moment: by its rule: too slow"
    ):
        confirm(changed)


def test_one_that_was_changed_since_is_said_to_be_as_it_is() -> None:
    """Another command came right after this one."""
    first = begin(TRIAL, ROW)
    begin(replace(TRIAL, percent=60.0), ROW)
    with pytest.raises(StepError, match="another command changed the canary 'new' of 'm' since: it gets 60 % of its"):
        confirm(first)


def test_of_two_that_end_it_at_the_same_moment_one_does(notes: Notes) -> None:
    """The other is told how it ended."""
    begin(TRIAL, ROW)
    notes.meanwhile = lambda: end("m", "aborted", "by command")
    with pytest.raises(StepError, match="was aborted at the same moment: by command"):
        end("m", "promoted", "by command")
    assert ["aborted"] == [trial.state for trial in read_book().trials]


def test_what_was_promoted_is_taken_back_once(notes: Notes) -> None:
    """The second command is told that it was done."""
    begin(TRIAL, ROW)
    confirm(end("m", "promoted", "by command"))
    notes.meanwhile = lambda: end("m", "aborted", "by another")
    with pytest.raises(StepError, match="was superseded at the same moment: taken back by another"):
        end("m", "aborted", "by command")


def test_a_file_that_ends_what_is_promoted_is_told() -> None:
    """It holds, whatever the command wrote a moment before."""
    begin(TRIAL, ROW)
    promoted = end("m", "promoted", "by command")
    end_trial(TRIAL, Ending("superseded", "the deployed file has other backends for the model", 150.0))
    with pytest.raises(StepError, match="was superseded at the same moment: the deployed file has other backends"):
        confirm(promoted)


def test_what_has_ended_is_forgotten_when_the_next_begins(notes: Notes) -> None:
    """With all its notes; what was promoted stays."""
    begin(TRIAL, ROW)
    end("m", "promoted", "by command")
    second = replace(TRIAL, id="t2", application="newer", started_at=200.0)
    begin(second, ROW)
    begin(replace(second, percent=60.0), ROW)
    end("m", "aborted", "by command")
    begin(replace(TRIAL, id="t3", application="newest", started_at=300.0), ROW)
    assert {"canary:record:m:1", "canary:ending:t1", "canary:record:m:4"} == notes.kept.keys()


def test_no_canary_is_ended_where_none_runs() -> None:
    """Not even what ended before."""
    begin(TRIAL, ROW)
    end("m", "aborted", "by command")
    states: tuple[Literal["promoted", "aborted"], ...] = ("promoted", "aborted")
    for state in states:
        with pytest.raises(StepError, match="no canary of 'm' runs; 'new' was aborted: by command"):
            end("m", state, "by command")


def test_a_canary_that_an_older_release_began_is_changed(notes: Notes) -> None:
    """Its note has no number."""
    notes.put("canary:record:t1", TRIAL.encode())
    confirm(begin(replace(TRIAL, id="t2", percent=60.0), ROW))
    assert [("t1", 60.0)] == [(trial.id, trial.percent) for trial in read_book().trials]
