"""Whether two completions are wished for by the same person at the same place. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from router.http.asgi import Scope, header

SAME_FILE_CHARS = 256
"""Characters that two prompts must begin with alike to be of one file."""
_MIN_CHARS = 8
"""The same of prompts that are shorter than that, of which one begins with the other."""
MAX_CHANGED_CHARS = 256
"""Characters within which all differences of two prompts must lie, to be what one person has typed or taken over from
one to the next: all files of a project may begin with the same licence, and others may be at work in the same file."""


@dataclass(slots=True, frozen=True)
class Typist:
    """
    Who waits for a completion.

    `names` are equal for requests that may be one person's. `is_named` says that the client has named its session:
    then they are. Otherwise the `text` tells places apart; None where the prompt is no single one.

    Editors that complete as one types name no session in these requests, and programs between them and here may have
    one key and one address for many people. `user` may stand for a program as well, so it does not suffice either.
    """

    names: tuple[object, ...]
    is_named: bool
    text: str | None

    def supersedes(self, older: "Typist") -> bool:
        """Whether whoever asks now no longer wants what was asked before."""
        if self.names != older.names:
            return False
        return self.is_named or is_same_place(older.text, self.text)


def typist_of(scope: Scope, body: Mapping[str, object], session: bytes, tenant: str, model: str) -> Typist:
    """`session` is what the client's headers call it, empty where they do not."""
    if session:
        return Typist((tenant, model, session), is_named=True, text=None)
    client = scope.get("client")
    address = client[0] if client else None
    user, prompt = body.get("user"), body.get("prompt")
    return Typist(
        (tenant, model, user if isinstance(user, str) else None, address, header(scope, b"x-forwarded-for")),
        is_named=False,
        text=prompt if isinstance(prompt, str) else None,
    )


def is_same_place(older: str | None, newer: str | None) -> bool:
    """
    By the texts before the cursor, or prompts with these and what is behind it in them.

    Whoever types or deletes changes such a text at one place, and a little. So long ones begin alike, and of short ones
    one is the other's beginning.
    """
    if older is None or newer is None:
        return False
    length = min(len(older), len(newer), SAME_FILE_CHARS)
    if length < _MIN_CHARS or older[:length] != newer[:length]:
        return False
    return _num_changed(older, newer) <= MAX_CHANGED_CHARS


def _num_changed(one: str, other: str) -> int:
    """Characters of the longer one from its first to its last that is not the other's."""
    shorter = min(len(one), len(other))
    num_before = _longest(shorter, lambda low, high: one[low:high] == other[low:high])
    ends = one[::-1], other[::-1]
    num_behind = _longest(shorter - num_before, lambda low, high: ends[0][low:high] == ends[1][low:high])
    return max(len(one), len(other)) - num_before - num_behind


def _longest(length: int, is_alike: Callable[[int, int], bool]) -> int:
    """How far from the beginning, up to `length`, all is alike. In as few comparisons as halves of it can be made."""
    low, high = 0, length
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if is_alike(low, middle) else (low, middle - 1)
    return low
