"""cache.pauses: how long to leave alone what has failed."""

from hypothesis import given
from hypothesis import strategies as st

from cache.pauses import pause_s


def test_pauses_double_up_to_the_longest() -> None:
    """At the mean of chance."""
    assert [1, 2, 4, 5, 5] == [pause_s(number, 1, 5, 0.5) for number in range(5)]


@given(st.integers(0, 10_000), st.floats(0.001, 100), st.floats(0, 1))
def test_no_pause_is_beyond_its_bounds(num_before: int, first_s: float, chance: float) -> None:
    """Half and one and a half of the shortest and of the longest."""
    assert first_s / 2 <= pause_s(num_before, first_s, 100, chance) <= 150
