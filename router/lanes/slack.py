"""How many lines of batches may run now. Pure: what is known comes in, a number goes out."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """
    What is known of the replicas that serve a model, all of them together.

    `num_slots` is how many requests they run at once. `num_interactive` are this router's requests of clients that
    are under way, waiting or running. `num_lines` are this router's lines that run. `num_elsewhere` are requests that
    the engines run or queue and that are not this router's: other routers', as far as the engines report.
    """

    num_slots: int
    num_interactive: int
    num_lines: int
    num_elsewhere: int = 0
    num_waiting: int = 0
    """Requests that wait inside the engines, as they report."""


def num_may_run(load: Load, max_slots_ratio: float) -> int:
    """
    Lines that may run: a share of the slots less what clients take.

    One slot at least is left free for the next client, where there are several. A model's only slot is a line's
    while no client is there. Nothing new begins while requests wait inside the engines.
    """
    taken = load.num_interactive + load.num_elsewhere
    if load.num_waiting:
        return min(load.num_lines, num_may_stay(load))
    if load.num_slots <= 1:
        return load.num_slots if not taken else 0
    share = min(math.floor(load.num_slots * max_slots_ratio), load.num_slots - 1)
    return max(0, max(1, share) - taken)


def num_may_stay(load: Load) -> int:
    """
    Lines that need not be aborted: as many as leave one slot free for the next client, or the only one.

    More than may begin, so that a line is not aborted for a client who comes and goes.
    """
    taken = load.num_interactive + load.num_elsewhere
    spare = 1 if load.num_slots > 1 else 0
    return max(0, load.num_slots - spare - taken)
