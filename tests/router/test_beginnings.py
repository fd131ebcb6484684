"""router.beginnings: how many requests each beginning of a prompt has."""

import pytest

from router.beginnings import Beginnings


def test_requests_with_one_beginning_are_counted() -> None:
    """Each is told how many there were before it; another beginning has a count of its own."""
    beginnings = Beginnings()
    with beginnings.running(7) as first, beginnings.running(7) as second, beginnings.running(8) as other:
        assert (0, 1, 0) == (first, second, other)
        assert 2 == len(beginnings)
    with beginnings.running(7) as again:
        assert 0 == again


def test_one_that_ends_leaves_the_others() -> None:
    """In whatever order they end."""
    beginnings = Beginnings()
    first, second = beginnings.running(7), beginnings.running(7)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with beginnings.running(7) as third:
        assert 1 == third
    second.__exit__(None, None, None)
    assert 0 == len(beginnings)


def test_a_request_that_fails_is_over() -> None:
    """Nothing is kept of a beginning that nobody asks for."""
    beginnings = Beginnings()
    with pytest.raises(LookupError), beginnings.running(7):
        raise LookupError
    assert 0 == len(beginnings)
