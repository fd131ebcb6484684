"""How many lines may run: the pure decision."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.lanes.slack import Load, num_may_run, num_may_stay

COUNTS = st.integers(0, 300)
LOADS = st.builds(
    Load, num_slots=COUNTS, num_interactive=COUNTS, num_lines=COUNTS, num_elsewhere=COUNTS, num_waiting=COUNTS
)


@pytest.mark.parametrize(
    ("load", "may_run", "may_stay"),
    [
        (Load(num_slots=8, num_interactive=0, num_lines=0), 6, 7),
        (Load(num_slots=8, num_interactive=3, num_lines=4), 3, 4),
        (Load(num_slots=8, num_interactive=0, num_lines=0, num_elsewhere=5), 1, 2),
        (Load(num_slots=8, num_interactive=9, num_lines=2), 0, 0),
        (Load(num_slots=2, num_interactive=0, num_lines=0), 1, 1),
        (Load(num_slots=1, num_interactive=0, num_lines=0), 1, 1),
        (Load(num_slots=1, num_interactive=1, num_lines=1), 0, 0),
        (Load(num_slots=0, num_interactive=0, num_lines=0), 0, 0),
        (Load(num_slots=8, num_interactive=0, num_lines=2, num_waiting=1), 2, 7),
    ],
)
def test_lines_take_what_is_left(load: Load, may_run: int, may_stay: int) -> None:
    """Three quarters of the slots less what clients take, and a spare one in any case."""
    assert (may_run, may_stay) == (num_may_run(load, 0.75), num_may_stay(load))


@given(LOADS, st.floats(0.01, 1))
def test_clients_are_never_without_a_slot_that_lines_take(load: Load, ratio: float) -> None:
    """Whatever is let in may stay, and both leave clients what they take, and one more where there is one."""
    may_stay = num_may_stay(load)
    taken = load.num_interactive + load.num_elsewhere
    assert 0 <= num_may_run(load, ratio) <= may_stay
    assert may_stay == 0 or may_stay + taken + (load.num_slots > 1) <= load.num_slots
