"""
The clients' book: one entry for each request that was ever sent, and how it ended.

An answer of the simulated engine is complete when its text is, to the last character, the one that is owed for this
very request: see `deployments/engines/simulated/tokens.py`. Of another engine's answer only the tokens can be counted,
and not by the usage alone: of a stream that goes on elsewhere the router adds that up. Engines send a stream's tokens
one by one, but for those that are a part of a character, so there are nearly as many events with a text.
Whatever else a client got has to say that it is not complete.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


class Ending(StrEnum):
    """How a request ended, as its client saw it."""

    COMPLETE = "complete"
    ERROR_STATUS = "error status"
    """Another status than 200, with an error body."""
    ERROR_EVENT = "error event"
    """A stream that says in itself that it broke."""
    CUT = "cut"
    """A connection that broke within an answer: its transfer encoding was not ended, and every client reports that."""
    REFUSED = "refused"
    """A connection that broke, or was not made, before the first byte of an answer."""
    SILENT = "SILENT"
    """An answer that looks whole and is not."""
    WRONG = "WRONG"
    """Text that was not owed: tokens out of order, twice, or another's."""
    HUNG = "HUNG"
    """No end in the time that a client has."""


EXPLICIT = frozenset({Ending.ERROR_STATUS, Ending.ERROR_EVENT})
BROKEN_CONNECTION = frozenset({Ending.CUT, Ending.REFUSED})
FORBIDDEN = frozenset({Ending.SILENT, Ending.WRONG, Ending.HUNG})


class Form(StrEnum):
    """What was asked for."""

    WHOLE = "whole"
    """An answer that is not streamed."""
    GREEDY = "greedy stream"
    """A stream that a second generation would repeat, word for word."""
    SAMPLED = "sampled stream"


MIN_TEXTS_RATIO = 0.75
"""Events with a text for each token of a stream. Each of 80 greedy answers of the small model had one for each."""


@dataclass(slots=True)
class Entry:
    """
    One request. `owed` is the whole text of its answer, None where nobody knows it, and `text` what came of it. Times
    are monotonic, in seconds.
    """

    number: int
    form: Form
    owed: str | None
    num_owed_tokens: int
    asked_at: float
    text: str = ""
    num_texts: int = 0
    """Events with a part of the text."""
    began_at: float | None = None
    """When the first of the text came."""
    ended_at: float | None = None
    ending: Ending | None = None
    detail: str = ""

    @property
    def is_under_way(self) -> bool:
        return self.began_at is not None and self.ended_at is None

    @property
    def is_as_long(self) -> bool:
        """Whether there came about as much as the tokens that are owed: of a text that nobody knows."""
        if self.form is Form.WHOLE or self.owed is not None:
            return True
        return MIN_TEXTS_RATIO * self.num_owed_tokens <= self.num_texts <= self.num_owed_tokens

    def add(self, text: str, now: float) -> None:
        """More of it has come. What comes behind the end of an answer is nobody's."""
        if self.ending is not None:
            self.close(Ending.WRONG, now, f"after its end: {text}")
        if text:
            self.text += text
            self.num_texts += 1
            self.began_at = self.began_at or now

    def close(self, ending: Ending, now: float, detail: str = "") -> None:
        self.ending, self.ended_at, self.detail = ending, now, detail[:200]

    def close_answer(self, now: float, num_tokens: int, finish_reason: str | None) -> None:
        """The answer ended as answers do. `num_tokens` is what its usage says, 0 where that never came."""
        is_whole = num_tokens == self.num_owed_tokens and finish_reason == "length" and self.is_as_long
        if self.ending is not None:
            self.close(Ending.WRONG, now, "ended twice")
        elif is_whole and self.text == (self.owed or self.text):
            self.close(Ending.COMPLETE, now)
        elif (self.owed or self.text).startswith(self.text) and self.num_texts <= self.num_owed_tokens:
            said = f"{self.num_texts} texts, {num_tokens} tokens, finish_reason {finish_reason}: ...{self.text[-60:]}"
            self.close(Ending.SILENT, now, said)
        else:
            self.close(Ending.WRONG, now, f"...{self.text[-60:]}")

    def check_beginning(self) -> None:
        """What came of a broken answer must be the beginning of the owed one."""
        if not (self.owed or self.text).startswith(self.text):
            self.ending, self.detail = Ending.WRONG, f"...{self.text[-60:]}"


@dataclass(slots=True)
class Ledger:
    entries: list[Entry] = field(default_factory=list)

    def open(self, form: Form, owed: str | None, num_owed_tokens: int, asked_at: float) -> Entry:
        entry = Entry(len(self.entries), form, owed, num_owed_tokens, asked_at)
        self.entries.append(entry)
        return entry

    def num_under_way(self) -> int:
        return sum(entry.is_under_way for entry in self.entries)


Counts: TypeAlias = Counter[tuple[str, Form, Ending | None]]
"""How many requests ended how, by the fault that they met and by their form."""


def count(fault: str, entries: Iterable[Entry]) -> Counts:
    return Counter((fault, entry.form, entry.ending) for entry in entries)


def table(counts: Counts) -> str:
    """The counts by fault, form and ending, to be read at the end of a run."""
    endings = [ending for ending in Ending if any(key[2] == ending for key in counts)]
    rows = sorted({(fault, form) for fault, form, _ in counts})
    width = max((len(fault) for fault, _ in rows), default=0)
    lines = ["  ".join(["fault".ljust(width), "asked for".ljust(14), *[f"{ending:>12}" for ending in endings]])]
    lines += [
        "  ".join([fault.ljust(width), form.ljust(14), *[f"{counts[fault, form, ending]:>12}" for ending in endings]])
        for fault, form in rows
    ]
    return "\n".join(lines)
