"""Whether two completions are wished for by the same person at the same place. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from router.http.asgi import Scope, header

SAME_FILE_CHARS = 256
"""Characters that two prompts must begin with alike to be of one file."""
_MIN_CHARS = 8
"""The same of prompts that are shorter than that, of which one begins with the other."""


@dataclass(slots=True, frozen=True)
class Typist:
    """
    Who waits for a completion.

    `names` are equal for requests that may be one person's. `is_named` says that the client has named its session:
    then they are. Otherwise `beginning` tells files apart; None where the prompt is no single text.

    Editors that complete as one types name no session in these requests, and programs between them and here may have
    one key and one address for many people. `user` may stand for a program as well, so it does not suffice either.
    """

    names: tuple[object, ...]
    is_named: bool
    beginning: str | None

    def supersedes(self, older: "Typist") -> bool:
        """Whether whoever asks now no longer wants what was asked before."""
        if self.names != older.names:
            return False
        return self.is_named or is_same_file(older.beginning, self.beginning)


def typist_of(scope: Scope, body: Mapping[str, object], session: bytes, tenant: str, model: str) -> Typist:
    """`session` is what the client's headers call it, empty where they do not."""
    if session:
        return Typist((tenant, model, session), is_named=True, beginning=None)
    client = scope.get("client")
    address = client[0] if client else None
    user, prompt = body.get("user"), body.get("prompt")
    return Typist(
        (tenant, model, user if isinstance(user, str) else None, address, header(scope, b"x-forwarded-for")),
        is_named=False,
        beginning=prompt[:SAME_FILE_CHARS] if isinstance(prompt, str) else None,
    )


def is_same_file(older: str | None, newer: str | None) -> bool:
    """
    By the texts before the cursor, or prompts with these in them, cut to `SAME_FILE_CHARS`.

    Whoever types or deletes changes only the end of such a text. So long ones begin alike, and of short ones one is
    the other's beginning.
    """
    if older is None or newer is None:
        return False
    length = min(len(older), len(newer), SAME_FILE_CHARS)
    return length >= _MIN_CHARS and older[:length] == newer[:length]
