"""router.lanes.room: which replica has room for what."""

import pytest

from router.lanes.lane import Lane
from router.lanes.room import LONG_PREFILL_BYTES, beside_prefills, has_room
from router.replicas.registry import Figures, Replica

CHAT, LATER = Lane(), Lane("batch")
BESIDE, ALONE = Lane(is_completion=True, leaves_a_slot=True), Lane(is_completion=True)
NOW = 1000.0


class Reading:
    """A request whose prompt is being read."""

    is_over = False


def replica(name: str = "r1", max_num_seqs: int | None = 4, num_chats: int = 0, num_completions: int = 0) -> Replica:
    one = Replica(name, "m", "127.0.0.1", 1, "s", "simulated", "vllm", max_num_seqs=max_num_seqs)
    for number in range(num_chats + num_completions):
        one.begin(is_completion=number < num_completions)
    return one


@pytest.mark.parametrize(
    ("lane", "num_chats", "num_completions", "expected"),
    [
        (CHAT, 5, 0, True),
        (CHAT, 6, 0, False),
        (CHAT, 0, 6, False),
        (LATER, 3, 0, True),
        (LATER, 4, 0, False),
        (ALONE, 0, 5, True),
        (ALONE, 0, 6, False),
        (BESIDE, 0, 2, True),
        (BESIDE, 0, 3, False),
        (BESIDE, 3, 0, True),
        (BESIDE, 4, 0, False),
    ],
)
def test_four_slots_and_two_ahead(lane: Lane, num_chats: int, num_completions: int, expected: bool) -> None:  # noqa: FBT001
    """Chats may be two ahead; batches wait for a slot, and completions beside chats leave them one."""
    assert expected == has_room(replica("r1", 4, num_chats, num_completions), lane, max_ahead=2)


@pytest.mark.parametrize(("num_running", "expected"), [(0, True), (1, False)])
def test_an_only_slot_is_whoever_comes(num_running: int, expected: bool) -> None:  # noqa: FBT001
    """A completion may have it."""
    assert expected == has_room(replica(max_num_seqs=1, num_completions=num_running), BESIDE, max_ahead=2)


def test_an_engine_that_says_nothing_always_has_room() -> None:
    """Its slots are not known, so it orders its requests itself."""
    assert has_room(replica(max_num_seqs=None, num_chats=999), LATER, max_ahead=0)


@pytest.mark.parametrize(("num_slots", "num_ahead"), [(1, 2), (16, 2), (32, 4), (256, 32)])
def test_an_eighth_of_the_slots_waits_in_the_engine(num_slots: int, num_ahead: int) -> None:
    """Where nobody says how many: many may end in one step, and the next must be there then."""
    loads = range(num_slots + 40)
    rooms = [has_room(replica(max_num_seqs=num_slots, num_chats=load), CHAT, max_ahead=None) for load in loads]
    assert num_slots + num_ahead == sum(rooms)


def test_requests_of_other_routers_take_room() -> None:
    """By the replica's own figures."""
    one = replica()
    one.take_over_figures(Figures(1, 4, 2, None), NOW)
    assert not has_room(one, CHAT, max_ahead=2)


@pytest.mark.parametrize(("usage_ratio", "num_waiting", "num_slots"), [(0.99, 3, 2), (0.5, 3, 9), (0.99, 0, 9)])
def test_a_full_kv_cache_is_the_limit(usage_ratio: float, num_waiting: int, num_slots: int) -> None:
    """Where requests wait for it; until the next figures say otherwise."""
    one = replica(max_num_seqs=9)
    one.take_over_figures(Figures(1, 2, num_waiting, usage_ratio), NOW)
    assert num_slots == one.num_slots
    one.take_over_figures(Figures(2, 2, 0, 0.1), NOW + 1)
    assert 9 == one.num_slots


def test_a_replica_in_the_middle_of_a_long_prompt_is_avoided() -> None:
    """One whose answer has begun no longer counts."""
    replicas = [replica("r1"), replica("r2"), replica("r3")]
    reading = Reading()
    replicas[0].prefills[reading] = LONG_PREFILL_BYTES
    replicas[1].prefills[Reading()] = LONG_PREFILL_BYTES - 1
    assert replicas[1:] == beside_prefills(replicas)
    reading.is_over = True
    assert replicas == beside_prefills(replicas)


def test_where_all_read_long_prompts_the_shortest_is_taken() -> None:
    """A wait, but the least one. Nothing comes of nothing."""
    replicas = [replica("r1"), replica("r2")]
    for number, one in enumerate(replicas):
        one.prefills[Reading()] = (3 - number) * LONG_PREFILL_BYTES
    assert ([replicas[1]], []) == (beside_prefills(replicas), beside_prefills([]))
