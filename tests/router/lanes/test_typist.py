"""router.lanes.typist: who asks anew, and who is somebody else."""

import pytest

from router.http.asgi import Scope
from router.lanes.typist import SAME_FILE_CHARS, Typist, is_same_file, typist_of

HEAD = "# a file that begins with so many characters\n" * 9


def typist(
    prompt: object = HEAD, address: str = "10.0.0.1", tenant: str = "t", model: str = "m", **more: str
) -> Typist:
    headers = [(name.encode(), value.encode()) for name, value in more.items() if name != "user"]
    scope: Scope = {"client": (address, 5), "headers": headers}
    body: dict[str, object] = {"prompt": prompt, **({"user": more["user"]} if "user" in more else {})}
    return typist_of(scope, body, more.get("session", "").encode(), tenant, model)


@pytest.mark.parametrize(
    ("older", "newer", "expected"),
    [
        (HEAD + "def f", HEAD + "def fi", True),
        (HEAD + "def fi", HEAD + "def f", True),
        ("import os\n", "import os\nx", True),
        ("import os\nx", "import os\n", True),
        ("import os\n", "import sys\n", False),
        ("imp", "impo", False),
        (HEAD[:SAME_FILE_CHARS] + "a", HEAD[:SAME_FILE_CHARS] + "b", True),
        ("x" + HEAD, HEAD, False),
        (None, HEAD, False),
        (None, None, False),
    ],
)
def test_typing_and_deleting_stay_in_one_file(older: str | None, newer: str | None, expected: bool) -> None:  # noqa: FBT001
    """By the beginning of the text; one of a few characters says nothing."""
    assert expected == is_same_file(older, newer)


@pytest.mark.parametrize(
    "other",
    [
        typist("def another_file() -> None: ..."),
        typist(address="10.0.0.2"),
        typist(tenant="u"),
        typist(model="n"),
        typist(user="ann"),
        typist(**{"x-forwarded-for": "192.168.0.9"}),
        typist([HEAD, HEAD]),
        typist(session="s"),
    ],
    ids=["file", "address", "key", "model", "user", "behind a proxy", "several prompts", "session"],
)
def test_another_is_another(other: Typist) -> None:
    """Key, model, user, address and file have to be the same."""
    assert (True, False) == (typist().supersedes(typist()), other.supersedes(typist()))


def test_a_named_session_is_one_wherever_it_types() -> None:
    """In whatever file, and from whatever address; but not with another key."""
    one = typist(session="s")
    assert typist("another file altogether", address="10.9.9.9", session="s").supersedes(one)
    assert not typist(session="s", tenant="u").supersedes(one)
