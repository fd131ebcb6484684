"""router.replicas.registry: where the replicas are, and which one is next."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from polling import eventually

from router.replicas.registry import MAX_FIGURES_AGE_S, WARM_UP_S, Figures, Replica, ReplicaDirectory, pick_replica

NOW = 100.0


def replica(replica_id: str, num_running: int = 0, blocked_until: float = 0.0) -> Replica:
    made = Replica(replica_id, "m", "127.0.0.1", 1, "secret", "simulated", "vllm")
    made.num_running, made.breaker.blocked_until = num_running, blocked_until
    return made


REPLICAS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0.0, NOW - 1, NOW + 1])), min_size=1, max_size=6).map(
    lambda rows: [replica(f"r{index}", *row) for index, row in enumerate(rows)]
)


@given(REPLICAS, st.sets(st.sampled_from(["r0", "r1", "r2", "r3"])), st.integers(0, 1000))
def test_the_pick_is_the_least_busy_that_is_left(replicas: list[Replica], tried: set[str], turn: int) -> None:
    """Never one that was tried; a blocked one only when every other is blocked or tried; then the least busy."""
    left = [one for one in replicas if one.replica_id not in tried]
    picked = pick_replica(replicas, tried, NOW, turn)
    if picked is None:
        assert not left
        return
    assert picked in left
    free = [one for one in left if one.blocked_until <= NOW]
    assert min(one.num_running for one in free or left) == picked.num_running
    assert picked in (free or left)


@given(st.integers(1, 6), st.integers(0, 1000))
def test_equally_busy_replicas_take_turns(num_replicas: int, first_turn: int) -> None:
    """As many requests as there are replicas reach each of them once."""
    replicas = [replica(f"r{index}") for index in range(num_replicas)]
    picks = Counter(
        picked.replica_id
        for turn in range(first_turn, first_turn + num_replicas)
        if (picked := pick_replica(replicas, (), NOW, turn))
    )
    assert {one.replica_id: 1 for one in replicas} == picks


def test_the_least_busy_has_the_least_of_all_routers() -> None:
    """Requests of other routers count as its own do."""
    busy, idle = replica("r0", num_running=1), replica("r1", num_running=3)
    busy.num_elsewhere = 3
    assert idle is pick_replica([busy, idle], (), NOW, 0)


def test_a_saturated_replica_is_not_the_least_busy() -> None:
    """It makes its requests wait, however few they are; a blocked one comes after it."""
    saturated, busy, blocked = replica("r0"), replica("r1", num_running=9), replica("r2", blocked_until=NOW + 1)
    saturated.is_saturated = True
    assert busy is pick_replica([saturated, busy, blocked], (), NOW, 0)
    assert saturated is pick_replica([saturated, blocked], (), NOW, 0)


def test_no_replica_is_no_pick() -> None:
    """An application without replicas has none to offer."""
    assert pick_replica((), (), NOW, 7) is None


def test_a_known_replica_keeps_its_object() -> None:
    """So its count of running requests survives a new list from Serve."""
    directory = ReplicaDirectory()
    directory.update("a", [replica("r1", num_running=3)])
    assert () == directory.update("a", [replica("r1"), replica("r2")])
    assert [("r1", 3), ("r2", 0)] == [(one.replica_id, one.num_running) for one in directory.of("a")]


def test_an_update_names_who_is_gone() -> None:
    """What is no longer in the list is returned, and forgotten."""
    directory = ReplicaDirectory()
    directory.update("a", [replica("r1"), replica("r2")])
    assert ["r1"] == [one.replica_id for one in directory.update("a", [replica("r2")])]
    assert ["r2"] == [one.replica_id for one in directory.of("a")]


def test_applications_do_not_see_each_other() -> None:
    """A list is about one application only."""
    directory = ReplicaDirectory()
    directory.update("a", [replica("r1")])
    directory.update("b", [])
    assert ("r1",) == tuple(one.replica_id for one in directory.of("a"))
    assert () == directory.of("b")
    assert () == directory.of("c")
    assert ["r1"] == [one.replica_id for one in directory.all()]


async def test_waiting_ends_with_the_next_update() -> None:
    """Everybody who waits is woken, once."""
    directory = ReplicaDirectory()
    waiting = [asyncio.ensure_future(directory.changed()) for _ in range(2)]
    await asyncio.sleep(0)
    assert [False, False] == [waiter.done() for waiter in waiting]
    directory.update("a", [])
    later = asyncio.ensure_future(directory.changed())
    await eventually(lambda: all(waiter.done() for waiter in waiting))
    assert not later.done()
    later.cancel()


def test_replicas_of_several_applications() -> None:
    """In the order in which the applications are named."""
    directory = ReplicaDirectory()
    directory.update("b", [replica("r3")])
    directory.update("a", [replica("r1"), replica("r2")])
    assert ["r1", "r2", "r3"] == [one.replica_id for one in directory.of("a", "none", "b")]


def test_a_replica_does_not_show_its_secret() -> None:
    """Logs print replicas."""
    assert "secret" not in repr(replica("r1"))


def figures(number: int, num_running: int = 0, num_waiting: int = 0, usage_ratio: float | None = None) -> Figures:
    return Figures(number, num_running, num_waiting, usage_ratio)


def test_what_is_not_ours_is_elsewhere() -> None:
    """An engine's running and waiting requests, less those of this router."""
    one = replica("r1", num_running=2)
    one.take_over_figures(figures(1, num_running=5, num_waiting=1), NOW)
    assert (4, 6, 1) == (one.num_elsewhere, one.load, one.num_waiting)


def test_requests_that_ended_since_are_not_taken_for_others() -> None:
    """Figures may be older than our own count, so the most that we had since the figures before is ours."""
    one = replica("r1")
    one.take_over_figures(None, NOW)
    for _ in range(5):
        one.begin()
    for _ in range(4):
        one.end()
    one.take_over_figures(figures(1, num_running=5), NOW + 1)
    assert (0, 1) == (one.num_elsewhere, one.load)
    one.take_over_figures(figures(2, num_running=5), NOW + 2)
    assert (4, 5) == (one.num_elsewhere, one.load)


def test_an_engine_never_has_less_than_nothing_elsewhere() -> None:
    """Requests of ours that it has not counted yet."""
    one = replica("r1", num_running=5)
    one.take_over_figures(figures(1, num_running=2), NOW)
    assert (0, 5) == (one.num_elsewhere, one.load)


def test_a_replica_is_saturated_when_requests_wait_or_its_kv_cache_is_full() -> None:
    """And no longer with the next figures that say otherwise."""
    one, seen = replica("r1"), []
    for number, (num_waiting, usage_ratio) in enumerate([(1, None), (0, None), (0, 0.95), (0, 0.94), (0, 0.0)]):
        one.take_over_figures(figures(number, 0, num_waiting, usage_ratio), NOW + number)
        seen.append(one.is_saturated)
    assert [True, False, True, False, False] == seen


@given(st.booleans())
def test_old_figures_are_forgotten(is_repeated: bool) -> None:  # noqa: FBT001  hypothesis passes it by name
    """When none come, and when the same come again and again: the replica no longer says anything."""
    one = replica("r1")
    last = figures(7, num_running=3, num_waiting=1)
    one.take_over_figures(last, NOW)
    again = last if is_repeated else None
    one.take_over_figures(again, NOW + MAX_FIGURES_AGE_S)
    assert (4, True) == (one.num_elsewhere, one.is_saturated)
    one.take_over_figures(again, NOW + MAX_FIGURES_AGE_S + 0.1)
    assert (0, False) == (one.num_elsewhere, one.is_saturated)


def test_figures_find_their_replica() -> None:
    """By its id, in whatever application."""
    directory = ReplicaDirectory()
    directory.update("a", [replica("r1"), replica("r2")])
    directory.update("b", [replica("r3")])
    directory.take_over_figures({"r2": figures(1, 2), "r3": figures(1, 3), "gone": figures(1, 9)}, NOW)
    assert [0, 2, 3] == [one.load for one in directory.all()]


def test_a_replica_that_joins_warm_ones_is_cold() -> None:
    """As soon as one of them has been there for long; what is known already stays as it is."""
    directory = ReplicaDirectory()
    directory.update("a", [replica("r1")], NOW)
    directory.update("a", [replica("r1"), replica("r2")], NOW + WARM_UP_S - 1)
    directory.update("a", [replica("r1"), replica("r2"), replica("r3")], NOW + WARM_UP_S)
    directory.update("a", [replica("r1"), replica("r2"), replica("r3")], NOW + WARM_UP_S + 1)
    never = float("-inf")
    expected = {"r1": never, "r2": never, "r3": NOW + WARM_UP_S}
    assert expected == {one.replica_id: one.joined_at for one in directory.of("a")}


def test_replicas_that_begin_together_are_equals() -> None:
    """Serve names them one after another; so it is with those that come after none was left."""
    directory = ReplicaDirectory()
    directory.update("a", [replica("r1")], NOW)
    directory.update("a", [], NOW + WARM_UP_S)
    directory.update("a", [replica("r2")], NOW + WARM_UP_S + 1)
    directory.update("a", [replica("r2"), replica("r3")], NOW + WARM_UP_S + 2)
    assert {float("-inf")} == {one.joined_at for one in directory.of("a")}


def silent_since_now() -> tuple[ReplicaDirectory, list[Replica]]:
    """Two replicas; the first of them gives no figures after those of NOW."""
    directory, replicas = ReplicaDirectory(), [replica("r1"), replica("r2")]
    directory.update("a", replicas, NOW)
    directory.take_over_figures({"r1": figures(1), "r2": figures(1)}, NOW)
    return directory, replicas


def suspects(replicas: Sequence[Replica], now: float) -> list[str]:
    return [one.replica_id for one in replicas if one.is_suspect(now)]


def test_a_replica_that_falls_silent_is_suspected() -> None:
    """Once its figures are too old to count, while another gives new ones; and no longer when it speaks again."""
    directory, replicas = silent_since_now()
    seen = []
    for number, after_s in enumerate([MAX_FIGURES_AGE_S, MAX_FIGURES_AGE_S + 0.1], 2):
        directory.take_over_figures({"r1": figures(1), "r2": figures(number)}, NOW + after_s)
        seen.append(suspects(replicas, NOW + after_s))
    directory.take_over_figures({"r1": figures(2), "r2": figures(4)}, NOW + MAX_FIGURES_AGE_S + 0.2)
    seen.append(suspects(replicas, NOW + MAX_FIGURES_AGE_S + 0.2))
    assert [[], ["r1"], []] == seen


def test_a_replica_whose_streams_go_on_is_not_silent() -> None:
    """Its figures are late, its engine is not."""
    directory, replicas = silent_since_now()
    replicas[0].hear(NOW + MAX_FIGURES_AGE_S)
    directory.take_over_figures({"r2": figures(2)}, NOW + MAX_FIGURES_AGE_S + 1)
    assert [] == suspects(replicas, NOW + MAX_FIGURES_AGE_S + 1)


def test_nobody_is_suspected_while_no_figures_come() -> None:
    """Whoever brings them is down, and no replica."""
    directory, replicas = silent_since_now()
    directory.take_over_figures({"r1": figures(1), "r2": figures(1)}, NOW + 60)
    directory.take_over_figures({}, NOW + 61)
    assert [] == suspects(replicas, NOW + 61)


def test_a_replica_that_never_gave_figures_is_not_silent() -> None:
    """As one that has just come."""
    directory, replicas = silent_since_now()
    replicas.append(replica("r3"))
    directory.update("a", replicas, NOW)
    directory.take_over_figures({"r1": figures(2), "r2": figures(2)}, NOW + 60)
    assert [] == suspects(replicas, NOW + 60)
