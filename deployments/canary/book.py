"""
Where canaries are kept: in Ray's own key-value store, beside what Serve itself knows of its applications.

So each router sees them, a router that starts anew finds them, and they last as long as Serve's applications do: over a
restart of Ray's head where that keeps its store in Redis, and not over the end of the cluster.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import orjson

from deployments.serve_internals import forget_notes, put_note, read_notes
from router.canary.tally import Course, Side, Sides, add_sides, sides_document, sides_of
from router.canary.trial import Ending, Trial

logger = logging.getLogger("enginehouse.router")

_RECORD, _ENDING, _OVER, _TALLY = "canary:record:", "canary:ending:", "canary:over:", "canary:tally:"

MAX_SILENCE_S = 60.0
"""How long what a router called recent still is, in seconds. One that runs says it anew each second; one that has gone
leaves its last word behind for as long as the canary lasts."""


@dataclass(slots=True, frozen=True)
class Page:
    """
    The note of one command about a model's canary; the last of several about the same one holds.

    Numbers count the commands about a model, from 1. Each is written once, so of two commands that read the same book
    only the first can write.
    """

    key: str
    model: str
    trial_id: str
    number: int


@dataclass(slots=True, frozen=True)
class Book:
    """All canaries, the eldest first, and the figures of all routers by what they are counted under."""

    trials: tuple[Trial, ...]
    tallies: Mapping[str, Sides]
    pages: tuple[Page, ...] = ()

    def running(self, model: str) -> Trial | None:
        own = [trial for trial in self.trials if trial.model == model and trial.state == "running"]
        return own[-1] if own else None

    def next_number(self, model: str) -> int:
        return 1 + max((page.number for page in self.pages if page.model == model), default=0)


def read_book() -> Book:
    """
    Raises:
        RayError: Ray's head does not answer.
    """
    return read_pages(read_notes("canary:"), time.time())


def read_pages(notes: Mapping[str, bytes], now: float) -> Book:
    """The book that these notes are, at `now` in Unix time, in seconds."""
    trials: dict[str, tuple[Page, Trial]] = {}
    pages: list[Page] = []
    tallies: dict[str, Sides] = {}
    for key, note in notes.items():
        try:
            if key.startswith(_RECORD):
                trial = Trial.decode(note)
                page = Page(key, trial.model, trial.id, _number_of(key))
                pages.append(page)
                if trial.id not in trials or trials[trial.id][0].number < page.number:
                    ending = Ending.decode(notes.get(_OVER + trial.id) or notes.get(_ENDING + trial.id))
                    trials[trial.id] = page, replace(trial, ending=ending)
            elif key.startswith(_TALLY):
                document = orjson.loads(note)
                sides = sides_of(document["sides"])
                if now - document.get("at", 0.0) > MAX_SILENCE_S:
                    sides = {side: Course(course.total) for side, course in sides.items()}
                add_sides(tallies.setdefault(document["of"], {}), sides)
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # of another release
            logger.warning("the note %s about a canary cannot be read: %r", key, error)
    eldest_first = sorted((trial for _, trial in trials.values()), key=lambda trial: trial.started_at)
    return Book(tuple(eldest_first), tallies, tuple(pages))


def _number_of(key: str) -> int:
    """0 of those that releases wrote that did not count."""
    *_, number = key.removeprefix(_RECORD).rpartition(":")
    return int(number) if ":" in key.removeprefix(_RECORD) else 0


def keep_trial(trial: Trial, book: Book) -> bool:
    """
    As it is from now on. Returns whether it was written: only where no other command has written about the model since
    `book` was read. What was written of it before stays until it is forgotten: somebody may be about to read that.
    """
    key = f"{_RECORD}{trial.model}:{book.next_number(trial.model)}"
    return put_note(key, trial.encode(), overwrite=False)


def end_trial(trial: Trial, ending: Ending) -> bool:
    """Returns whether it ended so: whoever ends it first has decided. What the file supersedes is over in any case."""
    prefix = _OVER if ending.state == "superseded" else _ENDING
    return put_note(prefix + trial.id, orjson.dumps(asdict(ending)), overwrite=False)


def forget_trials(book: Book, trials: Sequence[Trial]) -> None:
    """These, and their figures."""
    forgotten = {trial.id for trial in trials}
    forget_notes(*(page.key for page in book.pages if page.trial_id in forgotten))
    for trial_id in forgotten:
        forget_notes(_ENDING + trial_id, _OVER + trial_id)
    if forgotten & book.tallies.keys():
        forget_notes(*(key for key in read_notes(_TALLY) if key.rpartition(":")[2] in forgotten))


def publish_tallies(router_id: str, courses: Mapping[str, Mapping[Side, Course]]) -> None:
    """What this router has counted so far, in the place of what it said before."""
    for tally_id, sides in courses.items():
        put_note(*tally_page(router_id, tally_id, sides, time.time()))


def tally_page(router_id: str, tally_id: str, sides: Mapping[Side, Course], now: float) -> tuple[str, bytes]:
    """A router's figures as a note: its key, and what is in it. `now` is Unix time, in seconds."""
    document = {"of": tally_id, "at": now, "sides": sides_document(sides)}
    return f"{_TALLY}{router_id}:{tally_id}", orjson.dumps(document)


def forget_tallies(router_id: str, tally_ids: Sequence[str]) -> None:
    forget_notes(*(f"{_TALLY}{router_id}:{tally_id}" for tally_id in tally_ids))
