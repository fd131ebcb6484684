"""router.replicas.beginnings: how many requests each beginning of a prompt has."""

from router.replicas.beginnings import Beginnings


def test_requests_with_one_beginning_are_counted() -> None:
    """Each is told how many there were before it; another beginning has a count of its own."""
    beginnings = Beginnings()
    assert [0, 1, 0] == [beginnings.enter(7), beginnings.enter(7), beginnings.enter(8)]
    assert 2 == len(beginnings)


def test_one_that_ends_leaves_the_others() -> None:
    """Nothing is kept of a beginning that nobody asks for any more."""
    beginnings = Beginnings()
    beginnings.enter(7)
    beginnings.enter(7)
    beginnings.leave(7)
    assert 1 == beginnings.enter(7)
    beginnings.leave(7)
    beginnings.leave(7)
    assert 0 == len(beginnings)
