"""
What `enginehouse canary` writes, and what has become of it.

Another operator, a canary's rule or a deployed file may be quicker. Whatever is written is written in one note, which
only the first of several can write, so that the others can be told; and read again before anything is said of it.
"""

import time
from dataclasses import replace
from typing import Literal

from deployments.canary.book import Book, end_trial, forget_trials, keep_trial, read_book
from router.canary.decisions import Row, why_not
from router.canary.trial import Ending, Trial


class StepError(Exception):
    """It was not done, or did not last; the text says why, for the person who asked for it."""


def begin(wanted: Trial, row: Row) -> Trial:
    """
    Begin a canary, or give the one that runs another part. Returns it as it was written: `confirm` comes next.

    Raises:
        StepError: it may not begin, or another command was quicker.
        RayError: Ray's head does not answer.
    """
    book = read_book()
    running = book.running(row.name)
    refusal = why_not(wanted, row, running)
    if refusal is not None:
        raise StepError(refusal)
    if running is not None:
        wanted = replace(wanted, id=running.id, started_at=running.started_at)
    if not keep_trial(wanted, book):
        raise StepError(
            f"another command changed the canary of {row.name!r} at the same moment: nothing was done. See enginehouse "
            "canary status, and try again"
        )
    if running is None:
        own = [one for one in book.trials if one.model == row.name]
        forget_trials(book, [one for one in own if one.state in ("aborted", "superseded")])
    return wanted


def end(model: str, state: Literal["promoted", "aborted"], reason: str) -> Trial:
    """
    End the canary of a model, or take back what was promoted. Returns it with its ending: `confirm` comes next.

    Raises:
        StepError: there is none, or it ended otherwise at the same moment.
        RayError: Ray's head does not answer.
    """
    book = read_book()
    trial = book.running(model)
    ending = Ending(state, reason, time.time())
    promoted = [one for one in book.trials if one.model == model and one.state == "promoted"]
    if trial is None and promoted and state == "aborted":
        trial, ending = promoted[-1], replace(ending, state="superseded", reason=f"taken back {reason}")
    if trial is None:
        ended = [
            f"; {one.label!r} was {one.state}: {one.ending.reason}"
            for one in book.trials
            if one.ending is not None and one.model == model
        ]
        raise StepError(f"no canary of {model!r} runs{ended[-1] if ended else ''}")
    if not end_trial(trial, ending):
        raise StepError(_what_became_of(trial, read_book()))
    return replace(trial, ending=ending)


def confirm(trial: Trial) -> None:
    """
    Returns where the canary is as it was written.

    Raises:
        StepError: it is not, or not any more.
        RayError: Ray's head does not answer.
    """
    book = read_book()
    if trial not in book.trials:
        raise StepError(_what_became_of(trial, book))


def _what_became_of(trial: Trial, book: Book) -> str:
    known = next((one for one in book.trials if one.id == trial.id), None)
    if known is None:
        return f"another command began anew with {trial.model!r} at the same moment: see enginehouse canary status"
    if known.ending is not None:
        return (
            f"the canary {known.label!r} of {known.model!r} was {known.state} at the same moment: {known.ending.reason}"
        )
    return f"another command changed the canary {known.label!r} of {known.model!r} since: it gets {known.portion}"
