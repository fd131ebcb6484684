"""router.http.auth: who may ask."""

import pytest

from router.errors import InvalidApiKey
from router.http.asgi import Headers, Scope
from router.http.auth import KeyRing, parse_keys, presented_key


def scope(headers: Headers) -> Scope:
    """An ASGI scope with these headers, whose names servers give in lower case."""
    return {"headers": headers}


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([(b"authorization", b"Bearer k1")], "k1"),
        ([(b"authorization", b"bearer k1")], "k1"),
        ([(b"authorization", b"BEARER   k1 ")], "k1"),
        ([(b"x-api-key", b"k1")], "k1"),
        ([(b"api-key", b" k1 ")], "k1"),
        ([(b"api-key", b"k3"), (b"x-api-key", b"k2"), (b"authorization", b"Bearer k1")], "k1"),
        ([(b"api-key", b"k3"), (b"x-api-key", b"k2")], "k2"),
        ([(b"authorization", b"Bearer k1"), (b"authorization", b"Bearer k2")], "k1"),
        ([(b"authorization", b"Bearer "), (b"x-api-key", b"k2")], "k2"),
        ([(b"authorization", b""), (b"x-api-key", b""), (b"api-key", b"k3")], "k3"),
        ([(b"authorization", b"Basic azE="), (b"api-key", b"k3")], "k3"),
        ([(b"authorization", b"Basic azE=")], None),
        ([(b"authorization", b"Bearer")], None),
        ([(b"x-api-key", b"  ")], None),
        ([(b"x-other", b"k1")], None),
        ([], None),
    ],
)
def test_presented_key(headers: Headers, key: str | None) -> None:
    """Three headers in their order; an empty one counts as none."""
    assert key == presented_key(scope(headers))


def test_without_keys_everybody_is_accepted() -> None:
    """An open ring asks nobody."""
    ring = KeyRing([])
    assert ring.is_open
    ring.check(scope([]))
    ring.check(scope([(b"x-api-key", b"anything")]))


def test_an_accepted_key_is_accepted() -> None:
    """Any of the ring's keys will do, in any of the headers."""
    ring = KeyRing(["k1", "k2"])
    assert not ring.is_open
    ring.check(scope([(b"authorization", b"Bearer k1")]))
    ring.check(scope([(b"api-key", b"k2")]))


@pytest.mark.parametrize("key", [b"k", b"k11", b"K1", b"k1,k2"])
def test_any_other_key_is_refused_and_not_repeated(key: bytes) -> None:
    """Keys are compared whole and with their case; the message does not say which key it was."""
    with pytest.raises(InvalidApiKey) as refused:
        KeyRing(["k1", "k2"]).check(scope([(b"x-api-key", key)]))
    assert "The API key is not accepted here." == refused.value.message


def test_no_key_is_refused() -> None:
    """The message says how to send one."""
    with pytest.raises(InvalidApiKey, match="Authorization: Bearer KEY"):
        KeyRing(["k1"]).check(scope([]))


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("k1", {"k1"}),
        ("k1,k2", {"k1", "k2"}),
        ("k1, k2\tk3\nk4", {"k1", "k2", "k3", "k4"}),
        ("# all of them\nk1\n  # k2\n\nk3", {"k1", "k3"}),
        ("k#1", {"k#1"}),
        ("", set()),
        (" ,\n,", set()),
    ],
)
def test_parse_keys(text: str, keys: set[str]) -> None:
    """Commas and whitespace separate; a line that begins with # does not count."""
    assert keys == parse_keys(text)
