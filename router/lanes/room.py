"""Whether a replica has room for one more, and which replicas are in the middle of a long prompt. Pure."""

from collections.abc import Sequence

from router.lanes.lane import Lane
from router.replicas.registry import Replica

LONG_PREFILL_BYTES = 8192
"""Size of the requests whose prompts a replica is reading, in bytes, from which a completion had better go elsewhere:
about 2,000 tokens, which take a GPU 0.1 s and more."""


MIN_AHEAD = 2
AHEAD_DIVISOR = 8
"""
Of the slots, so many beyond them are filled where nobody says how many.

Source: vLLM on an H100 with 256 slots, 384 clients and answers of one length had 0.87 and 0.91 of bare vLLM's
throughput with 2 ahead, 0.88 and 0.94 with 32: docs/explanation/measurements-on-gpus.md.
"""


def has_room(replica: Replica, lane: Lane, max_ahead: int | None) -> bool:
    """
    Whether the engine would begin with one more request now, or is `max_ahead` requests or less behind.

    A batch's request only has it where the engine would begin. So has a completion beside chats, which leave one
    slot to them; a model's only slot is whoever's comes.
    """
    num_slots = replica.num_slots
    if num_slots is None:
        return True
    if lane.leaves_a_slot:
        return replica.load < num_slots and replica.num_completions < max(1, num_slots - 1)
    if max_ahead is None:
        max_ahead = max(MIN_AHEAD, num_slots // AHEAD_DIVISOR)
    return replica.load < num_slots + (0 if lane.priority == "batch" else max_ahead)


def beside_prefills(replicas: Sequence[Replica]) -> Sequence[Replica]:
    """Those that are not in the middle of a long prompt, in their order; where all are, the one with the least."""
    sizes = [replica.num_prefill_bytes for replica in replicas]
    free = [replica for replica, size in zip(replicas, sizes, strict=True) if size < LONG_PREFILL_BYTES]
    if free or not replicas:
        return free
    return [replicas[sizes.index(min(sizes))]]
