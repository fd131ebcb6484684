"""router.replicas.choice: consistent hashing with bounded load."""

from collections import Counter
from collections.abc import Sequence
from math import sqrt

from hypothesis import given
from hypothesis import strategies as st

from router.replicas.choice import (
    ALWAYS_ROOM,
    HOT_REQUESTS,
    Beginning,
    choose_replica,
    hot_limit,
    preferred,
    usual_limit,
)
from router.replicas.registry import WARM_UP_S, Replica

NOW = 100.0
HOMES = ["r2", "r1", "r1", "r1", "r3", "r0"]
"""Of six keys among four replicas."""
KEYS = st.integers(0, 2**64 - 1)


def replica(replica_id: str, num_running: int = 0, blocked_until: float = 0.0) -> Replica:
    made = Replica(replica_id, "m", "127.0.0.1", 1, "secret", "simulated", "vllm")
    made.num_running, made.breaker.blocked_until = num_running, blocked_until
    return made


def replicas_of(num_replicas: int) -> list[Replica]:
    return [replica(f"r{index}") for index in range(num_replicas)]


def choose(
    replicas: list[Replica], key: int | None, tried: tuple[str, ...] = (), turn: int = 0, num_running: int = 0
) -> tuple[str, str]:
    """The chosen replica's id, and the reason."""
    beginning = None if key is None else Beginning(key, num_running)
    pick = choose_replica(replicas, beginning, tried, NOW, turn)
    assert pick is not None
    return pick.replica.replica_id, pick.reason


def order(replicas: list[Replica], key: int) -> list[str]:
    """Ids in the order in which idle replicas are asked."""
    tried: list[str] = []
    for _ in replicas:
        tried.append(choose(replicas, key, tuple(tried))[0])
    return tried


LOADS = st.lists(st.integers(0, 60), min_size=1, max_size=8)


@given(KEYS, st.permutations(range(6)))
def test_every_router_chooses_the_same_home(key: int, shuffled: list[int]) -> None:
    """Whatever the order of its list, and whatever replica objects it has."""
    expected = choose(replicas_of(6), key)
    assert "affine" == expected[1]
    assert expected == choose([replica(f"r{index}") for index in shuffled], key, turn=3)


def test_homes_are_written_down() -> None:
    """The same in each process and in each version of Python: routers of two releases agree while one is rolled out."""
    homes = [choose(replicas_of(4), key)[0] for key in (0, 1, 2, 3, 2**63, 2**64 - 1)]
    assert HOMES == homes


def test_beginnings_spread_over_the_replicas() -> None:
    """Of 4,000 beginnings each of 4 replicas is the home of a quarter, within a tenth of that."""
    homes = Counter(choose(replicas_of(4), key)[0] for key in range(4000))
    assert [] == [count for count in homes.values() if not 900 <= count <= 1100]
    assert 4 == len(homes)


@given(KEYS, st.integers(0, 4))
def test_only_what_was_there_moves_when_a_replica_goes(key: int, gone: int) -> None:
    """Everything else keeps its order."""
    before = order(replicas_of(5), key)
    left = [one for one in replicas_of(5) if one.replica_id != f"r{gone}"]
    assert [name for name in before if name != f"r{gone}"] == order(left, key)


@given(LOADS, KEYS)
def test_no_pick_goes_beyond_the_usual_limit(loads: list[int], key: int) -> None:
    """Two standard deviations above the mean, or a few requests, or one where that is less than a whole one."""
    replicas = [replica(f"r{index}", load) for index, load in enumerate(loads)]
    pick = choose_replica(replicas, Beginning(key, HOT_REQUESTS - 1), (), NOW, 0)
    assert pick is not None
    mean = (sum(loads) + 1) / len(loads)
    assert pick.replica.num_running + 1 <= max(ALWAYS_ROOM, mean + 2 * sqrt(mean), 1.25 * mean, mean + 1)


@given(LOADS, KEYS)
def test_no_pick_of_a_hot_beginning_goes_beyond_its_limit(loads: list[int], key: int) -> None:
    """1.25 times the mean, or one more than the mean where that is less than a whole one."""
    replicas = [replica(f"r{index}", load) for index, load in enumerate(loads)]
    pick = choose_replica(replicas, Beginning(key, HOT_REQUESTS), (), NOW, 0)
    assert pick is not None
    mean = (sum(loads) + 1) / len(loads)
    assert pick.replica.num_running + 1 <= max(1.25 * mean, mean + 1)


@given(st.integers(2, 8), st.integers(1, 200), KEYS)
def test_a_hot_beginning_loads_no_replica_beyond_the_bound(num_replicas: int, num_requests: int, key: int) -> None:
    """So many requests with one beginning at once: 1.25 of the mean at the most, from 4 requests a replica on."""
    replicas = replicas_of(num_replicas)
    for num_running in range(num_requests):
        pick = choose_replica(replicas, Beginning(key, num_running), (), NOW, 0)
        assert pick is not None
        pick.replica.num_running += 1
    mean = num_requests / num_replicas
    assert max(one.num_running for one in replicas) <= max(HOT_REQUESTS, 1.25 * mean, mean + 1)
    assert num_requests < 4 * num_replicas or max(one.num_running for one in replicas) <= 1.25 * mean


@given(st.integers(1, 10_000), st.integers(1, 64))
def test_every_limit_makes_room_for_all(num_requests: int, num_replicas: int) -> None:
    """So that one replica always has room; and a hot beginning never has more than another."""
    assert hot_limit(num_requests, num_replicas) * num_replicas >= num_requests
    assert usual_limit(num_requests, num_replicas) >= hot_limit(num_requests, num_replicas)


def test_the_limit_of_a_hot_beginning() -> None:
    """1.25 times the mean, rounded down as long as that makes room."""
    limits = {(1, 4): 1, (5, 4): 2, (15, 4): 4, (16, 4): 5, (64, 4): 20, (81, 4): 25, (2400, 1): 3000}
    assert limits == {numbers: hot_limit(*numbers) for numbers in limits}


def test_the_usual_limit() -> None:
    """Four at least, two standard deviations above the mean, and 1.25 times the mean where that is more."""
    limits = {(1, 4): 4, (8, 4): 4, (16, 4): 8, (64, 4): 24, (256, 4): 80, (400, 4): 125}
    assert limits == {numbers: usual_limit(*numbers) for numbers in limits}


def test_a_beginning_is_hot_from_its_fifth_request_on() -> None:
    """Then its home has no more room than the others."""
    replicas = replicas_of(4)
    home, second = order(replicas, 7)[:2]
    next(one for one in replicas if one.replica_id == home).num_running = 2
    assert (home, "affine") == choose(replicas, 7, num_running=3)
    assert (second, "spilled") == choose(replicas, 7, num_running=4)


def test_the_request_itself_is_in_the_mean() -> None:
    """With it there are sixteen on four replicas, so five are allowed; without it four would be."""
    replicas = replicas_of(4)
    home, _, _, last = order(replicas, 7)
    for one in replicas:
        one.num_running = 3 if one.replica_id == last else 4
    assert (home, "affine") == choose(replicas, 7, num_running=HOT_REQUESTS)


def test_a_home_takes_no_more_than_its_engine_runs() -> None:
    """One more would wait there."""
    replicas = replicas_of(4)
    home, second = order(replicas, 7)[:2]
    small = next(one for one in replicas if one.replica_id == home)
    small.max_num_seqs, small.num_running = 2, 1
    assert (home, "affine") == choose(replicas, 7)
    small.num_running = 2
    assert (second, "spilled") == choose(replicas, 7)


def test_a_home_takes_what_it_may() -> None:
    """Four requests whatever the others have; the fifth spills to the next in the order of that beginning."""
    replicas = replicas_of(4)
    home, second = order(replicas, 7)[:2]
    by_id = {one.replica_id: one for one in replicas}
    by_id[home].num_running = ALWAYS_ROOM - 1
    assert (home, "affine") == choose(replicas, 7)
    by_id[home].num_running = ALWAYS_ROOM
    assert (second, "spilled") == choose(replicas, 7)


def test_requests_of_others_count() -> None:
    """A home that other routers have filled is full."""
    replicas = replicas_of(4)
    home, second = order(replicas, 7)[:2]
    next(one for one in replicas if one.replica_id == home).num_elsewhere = ALWAYS_ROOM
    assert (second, "spilled") == choose(replicas, 7)


def test_a_saturated_home_is_passed_over() -> None:
    """Requests that wait in an engine wait longer than a prompt takes to be read again."""
    replicas = replicas_of(4)
    home, second = order(replicas, 7)[:2]
    next(one for one in replicas if one.replica_id == home).is_saturated = True
    assert (second, "spilled") == choose(replicas, 7)


def test_where_all_are_saturated_the_least_busy_is_chosen() -> None:
    """Not the home: it would have all that cannot be placed."""
    replicas = replicas_of(4)
    names = order(replicas, 7)
    for one in replicas:
        one.is_saturated, one.num_running = True, 9 - names.index(one.replica_id)
    assert (names[3], "spilled") == choose(replicas, 7)


def test_one_that_is_not_saturated_goes_before_less_busy_ones_that_are() -> None:
    """Even beyond its bound."""
    replicas = replicas_of(2)
    first, second = order(replicas, 7)
    by_id = {one.replica_id: one for one in replicas}
    by_id[first].num_running = 20
    by_id[second].is_saturated = True
    assert (first, "affine") == choose(replicas, 7)


def test_a_cold_home_takes_a_quarter_first() -> None:
    """The rest goes where it went before the new replica came."""
    replicas = replicas_of(4)
    home, second = order(replicas, 7)[:2]
    cold = next(one for one in replicas if one.replica_id == home)
    cold.joined_at = NOW
    assert (home, "affine") == choose(replicas, 7)
    cold.num_running = 1
    assert (second, "spilled") == choose(replicas, 7)


def test_a_replica_warms_up_with_time() -> None:
    """Half of its share after half of the time, all of it after all."""
    replicas = replicas_of(4)
    home, second = order(replicas, 7)[:2]
    cold = next(one for one in replicas if one.replica_id == home)
    cold.joined_at, cold.num_running = NOW - WARM_UP_S / 2, ALWAYS_ROOM // 2 - 1
    assert home == choose(replicas, 7)[0]
    cold.num_running += 1
    assert second == choose(replicas, 7)[0]
    cold.joined_at, cold.num_running = NOW - WARM_UP_S, ALWAYS_ROOM - 1
    assert home == choose(replicas, 7)[0]


def test_a_retry_goes_on_in_the_order_of_the_beginning() -> None:
    """Each replica once, then none."""
    replicas = replicas_of(3)
    home, second, third = order(replicas, 7)
    assert (second, "retry") == choose(replicas, 7, (home,))
    assert (third, "retry") == choose(replicas, 7, (second, home))
    assert choose_replica(replicas, Beginning(7), ("r0", "r1", "r2"), NOW, 0) is None


def test_a_blocked_home_is_passed_over() -> None:
    """As long as another is left that is not blocked; then it is asked all the same."""
    replicas = replicas_of(3)
    names = order(replicas, 7)
    by_id = {one.replica_id: one for one in replicas}
    by_id[names[0]].breaker.blocked_until = NOW + 1
    assert (names[1], "spilled") == choose(replicas, 7)
    by_id[names[0]].breaker.blocked_until = NOW
    assert (names[0], "affine") == choose(replicas, 7)
    for one in replicas:
        one.breaker.blocked_until = NOW + 1
    assert (names[0], "affine") == choose(replicas, 7)


def test_what_blocked_replicas_do_is_not_in_the_mean() -> None:
    """They take nothing, so the others share all there is."""
    replicas = replicas_of(3)
    names = order(replicas, 7)
    by_id = {one.replica_id: one for one in replicas}
    by_id[names[0]].breaker.blocked_until, by_id[names[0]].num_running = NOW + 1, 1000
    by_id[names[1]].num_running = 8
    assert (names[2], "spilled") == choose(replicas, 7)
    by_id[names[1]].num_running = 7  # of 8 requests of two replicas it may have all
    assert (names[1], "spilled") == choose(replicas, 7)


def test_without_a_beginning_the_least_busy_is_chosen() -> None:
    """In turn, as before; a retry says so."""
    replicas = [replica("r0", 2), replica("r1", 1), replica("r2", 1)]
    assert [("r1", "least_busy"), ("r2", "least_busy")] == [choose(replicas, None, turn=turn) for turn in (1, 2)]
    assert ("r2", "retry") == choose(replicas, None, ("r1",), turn=1)


def test_no_replica_is_no_pick() -> None:
    """With a beginning or without."""
    assert [None, None] == [choose_replica((), beginning, (), NOW, 0) for beginning in (Beginning(7), None)]


REPLICAS = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.booleans(), st.integers(0, 60)), min_size=1, max_size=6
).map(
    lambda those: [
        suspect(replica(f"r{index}", load, NOW + 1 if is_blocked else 0.0), is_suspect, is_saturated)
        for index, (is_suspect, is_blocked, is_saturated, load) in enumerate(those)
    ]
)


def suspect(one: Replica, is_suspect: bool, is_saturated: bool) -> Replica:  # noqa: FBT001 - of a strategy
    one.is_saturated = is_saturated
    if is_suspect:
        one.suspicion.suspect(NOW)
    return one


@given(REPLICAS, st.none() | st.builds(Beginning, KEYS, st.integers(0, 8)), st.sets(st.integers(0, 5)), st.integers(0))
def test_a_suspect_is_asked_where_nobody_else_is_left(
    replicas: Sequence[Replica], beginning: Beginning | None, numbers: set[int], turn: int
) -> None:
    """And before one that failed just now. Whoever has not been tried is left: no suspicion empties a model."""
    tried = {f"r{number}" for number in numbers}
    left = [one for one in replicas if one.replica_id not in tried]
    pick = choose_replica(replicas, beginning, tried, NOW, turn)
    assert (pick is None) is (not left)
    assert pick is None or pick.replica in preferred(left, NOW)


@given(REPLICAS)
def test_nobody_is_preferred_to_one_without_fault(replicas: Sequence[Replica]) -> None:
    """Of those that are left, all are alike: without fault, else suspects, else those that failed just now."""
    faults = [(one.blocked_until > NOW, one.is_suspect(NOW)) for one in preferred(replicas, NOW)]
    least = min((one.blocked_until > NOW, one.is_suspect(NOW)) for one in replicas)
    assert [least] * len(faults) == faults


def test_a_suspect_gets_its_beginnings_back() -> None:
    """They are spilled for as long as it is one."""
    replicas = replicas_of(4)
    home = replicas[2]
    reasons = [choose(replicas, 0)]
    home.suspicion.suspect(NOW)
    reasons.append(choose(replicas, 0))
    home.suspicion.heard(NOW + 0.1)
    reasons.append(choose(replicas, 0))
    assert (("r2", "affine"), "spilled", ("r2", "affine")) == (reasons[0], reasons[1][1], reasons[2])
