"""`deployments/engines/swap/turns.py`: who wakes, who leaves, and when."""

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from deployments.engines.swap.turns import Member, State, advance, whom_it_waits_for

ASLEEP, STARTING, WAKING, AWAKE, LEAVING = State


def member(
    state: State, *, used: float = 0.0, wanted: float | None = None, running: int = 0, may_leave: float = 0.0
) -> Member:
    return Member("m", state, may_leave, used, running, wanted)


def next_states(members: Mapping[str, Member], max_awake: int = 1, now: float = 100.0) -> dict[str, State]:
    """What each of them does, one after the other, as they come to the board."""
    said = dict(members)
    for name in members:
        said[name] = advance(name, said, max_awake, now)
    return {name: one.state for name, one in said.items()}


def test_one_that_is_wanted_wakes_where_there_is_room() -> None:
    """Nobody has to leave for it."""
    assert {"a": WAKING, "b": ASLEEP} == next_states({"a": member(ASLEEP, wanted=1), "b": member(ASLEEP)})


def test_who_was_wanted_first_wakes_first() -> None:
    """Whatever the order in which they look."""
    members = {"a": member(ASLEEP, wanted=2), "b": member(ASLEEP, wanted=1)}
    assert {"a": ASLEEP, "b": WAKING} == next_states(members)


def test_nobody_leaves_for_nobody() -> None:
    """One that nobody uses stays awake while no other is wanted."""
    assert {"a": AWAKE, "b": ASLEEP} == next_states({"a": member(AWAKE), "b": member(ASLEEP)})


def test_the_least_recently_used_leaves() -> None:
    """Of two that are awake and idle, one has to."""
    members = {"a": member(AWAKE, used=2), "b": member(AWAKE, used=1), "c": member(ASLEEP, wanted=3)}
    assert {"a": AWAKE, "b": LEAVING, "c": ASLEEP} == next_states(members, max_awake=2)


def test_one_that_runs_nothing_leaves_before_one_that_does() -> None:
    """Even if it was used later: the other's requests may take minutes."""
    members = {"a": member(AWAKE, used=2), "b": member(AWAKE, used=1, running=1), "c": member(ASLEEP, wanted=3)}
    assert {"a": LEAVING, "b": AWAKE, "c": ASLEEP} == next_states(members, max_awake=2)


def test_one_that_is_always_busy_leaves_too() -> None:
    """Else the other would starve: it takes no new requests from now on."""
    members = {"a": member(AWAKE, used=99, running=7), "b": member(ASLEEP, wanted=1)}
    assert {"a": LEAVING, "b": ASLEEP} == next_states(members)


def test_one_that_has_just_woken_stays() -> None:
    """Else two that are always wanted would do little but wake."""
    members = {"a": member(AWAKE, may_leave=100.1), "b": member(ASLEEP, wanted=1)}
    assert {"a": AWAKE, "b": ASLEEP} == next_states(members, now=100.0)
    assert {"a": LEAVING, "b": ASLEEP} == next_states(members, now=100.1)


def test_only_as_many_leave_as_are_needed() -> None:
    """One is on its way already, and only one is wanted."""
    members = {"a": member(AWAKE), "b": member(LEAVING), "c": member(ASLEEP, wanted=1)}
    assert {"a": AWAKE, "b": LEAVING, "c": ASLEEP} == next_states(members, max_awake=2)


def test_one_whose_place_nobody_wants_any_more_stays() -> None:
    """The client that waited for the other has left before it could sleep."""
    assert {"a": AWAKE, "b": ASLEEP} == next_states({"a": member(LEAVING), "b": member(ASLEEP)})


def new(wanted: float = 1.0, *, asked: bool = False) -> Member:
    """One that starts, for which somebody asks or nobody does."""
    return Member("new", wanted_since=wanted, is_new=True, gives_way=not asked)


def test_one_that_is_used_stays_for_a_start_that_nobody_asks_for() -> None:
    """Its requests would else wait for minutes, and nobody would be served sooner for it."""
    used = replace(member(AWAKE, used=99), idle_at=101)
    assert {"a": AWAKE, "b": ASLEEP} == next_states({"a": used, "b": new()})


def test_one_that_runs_something_stays_for_a_start_that_nobody_asks_for() -> None:
    """However long ago that began."""
    assert {"a": AWAKE, "b": ASLEEP} == next_states({"a": member(AWAKE, running=1), "b": new()})


def test_one_that_is_not_used_leaves_for_any_start() -> None:
    """The place is of more use to the other, which Serve wants to be there."""
    assert {"a": LEAVING, "b": ASLEEP} == next_states({"a": member(AWAKE), "b": new()})


def test_one_that_is_used_leaves_for_a_start_that_is_asked_for() -> None:
    """As for any other that has waiting requests."""
    used = replace(member(AWAKE, used=99), idle_at=101)
    assert {"a": LEAVING, "b": ASLEEP} == next_states({"a": used, "b": new(asked=True)})


def test_who_has_waiting_requests_wakes_before_a_start_that_nobody_asks_for() -> None:
    """Also where the start waits for longer."""
    assert {"a": ASLEEP, "b": WAKING} == next_states({"a": new(wanted=1), "b": member(ASLEEP, wanted=2)})


def test_a_start_that_nobody_asks_for_takes_a_free_place() -> None:
    """And says that it is a start."""
    assert {"a": STARTING, "b": ASLEEP} == next_states({"a": new(), "b": member(ASLEEP)})


def test_one_that_got_a_request_on_leaving_stays_for_a_start_that_nobody_asks_for() -> None:
    """It is used after all."""
    assert {"a": AWAKE, "b": ASLEEP} == next_states({"a": member(LEAVING, running=1), "b": new()})


def test_who_waits_is_told_for_whom() -> None:
    """For all that have a place, and not for one that waits as well."""
    members = {"a": member(ASLEEP), "b": Member("b", STARTING), "c": Member("c", AWAKE), "d": new()}
    told = "'b' starts for the first time, which may take minutes, 'c' answers"
    assert told == whom_it_waits_for("a", members)


def test_one_that_wakes_takes_a_place() -> None:
    """A start is no different: its engine takes memory long before it is ready."""
    assert {"a": WAKING, "b": ASLEEP} == next_states({"a": member(WAKING), "b": member(ASLEEP, wanted=1)})


@given(
    st.lists(st.sampled_from([1, 1, 1, 3]), min_size=2, max_size=4),
    st.integers(1, 3),
    st.lists(st.integers(0, 3), min_size=150, max_size=150),
)
def test_all_that_are_always_wanted_have_their_turns(durations: list[int], max_awake: int, order: list[int]) -> None:
    """However long each needs to wake and to finish, and in whatever order they look: no more than may be are awake."""
    names = [f"m{number}" for number in range(len(durations))]
    members = {name: member(ASLEEP, wanted=number) for number, name in enumerate(names)}
    due = dict.fromkeys(names, 0)
    woken = dict.fromkeys(names, 0)
    for now, number in enumerate([*order, *range(60 * len(names))]):
        name = names[number % len(names)]
        one = members[name]
        if one.state in (WAKING, LEAVING) and due[name] <= now:
            awakes = one.state is WAKING
            woken[name] += awakes
            one = member(
                AWAKE if awakes else ASLEEP, used=now, running=1, may_leave=now + 2, wanted=None if awakes else now
            )
        members[name] = one
        members[name] = advance(name, members, max_awake, now)
        if members[name].state is not one.state:
            due[name] = now + durations[number % len(names)]
        assert sum(each.state is not ASLEEP for each in members.values()) <= max_awake
    assert all(woken.values())
