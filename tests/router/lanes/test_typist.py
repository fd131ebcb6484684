"""router.lanes.typist: who asks anew, and who is somebody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.http.asgi import Scope
from router.lanes.typist import MAX_CHANGED_CHARS, SAME_FILE_CHARS, Typist, _num_changed, is_same_place, typist_of

HEAD = "# a file that begins with so many characters\n" * 9
CODE = "x = 1\n" * 100


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
        (HEAD, HEAD, True),
        (HEAD, HEAD + "x" * MAX_CHANGED_CHARS, True),
        (HEAD, HEAD + "x" * (MAX_CHANGED_CHARS + 1), False),
        (HEAD + "<suffix>" + CODE, HEAD + "def f" + "<suffix>" + CODE, True),
        (HEAD + "aaa" + CODE, HEAD + "aa" + CODE, True),
        (HEAD + CODE + "def f", HEAD + CODE.replace("x", "y") + "def f", False),
        (HEAD + "def f<suffix>" + CODE, HEAD + CODE + "def g<suffix>", False),
    ],
)
def test_typing_and_deleting_stay_in_one_place(older: str | None, newer: str | None, expected: bool) -> None:  # noqa: FBT001
    """
    By the beginning of the text, and by how little of it has changed: files of one project begin alike, and two people
    may be in one file.
    """
    assert (expected, expected) == (is_same_place(older, newer), is_same_place(newer, older))


def num_alike(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (a, b) in pairs if a != b), min(len(one), len(other)))


@given(st.text("ab", max_size=30), st.text("ab", max_size=30))
def test_what_has_changed_is_between_what_is_alike(one: str, other: str) -> None:
    """The longer text less what both begin and end with."""
    before = num_alike(one, other)
    behind = num_alike(one[before:][::-1], other[before:][::-1])
    assert max(len(one), len(other)) - before - behind == _num_changed(one, other)


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
