"""deployments.followed: whose replicas a router follows while its table changes."""

from deployments.followed import Followed

GRACE_S = 30.0


def followed(*applications: str) -> Followed:
    made = Followed(GRACE_S)
    made.change(frozenset(applications), 0.0)
    return made


def test_what_the_table_names_is_followed_at_once() -> None:
    """Each application once."""
    both = Followed(GRACE_S)
    assert {"a"} == both.change(frozenset({"a"}), 0.0)
    assert {"b"} == both.change(frozenset({"a", "b"}), 1.0)


def test_what_it_no_longer_names_is_let_go_when_nobody_needs_it() -> None:
    """Not while requests are under way that began when it did, or may be read that did."""
    old = followed("a", "b")
    old.change(frozenset({"b"}), 10.0)
    assert [[], [], ["a"], []] == [
        old.release((), 39.0), old.release({"a"}, 41.0), old.release({"b"}, 42.0), old.release((), 99.0),
    ]  # fmt: skip
    assert old.is_settled


def test_what_comes_back_meanwhile_was_never_let_go() -> None:
    """So that it need not be followed anew."""
    back = followed("a")
    back.change(frozenset(), 10.0)
    assert frozenset() == back.change(frozenset({"a"}), 20.0)
    assert [] == back.release((), 99.0)


def test_what_comes_back_later_is_followed_anew() -> None:
    """After it was let go."""
    back = followed("a")
    back.change(frozenset(), 10.0)
    back.release((), 40.0)
    assert {"a"} == back.change(frozenset({"a"}), 50.0)
