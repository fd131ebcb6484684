"""`router/demand.py`."""

import asyncio
from collections import Counter

import pytest

from configs.wake import WakePolicy
from router.demand import Demand
from router.errors import EngineOverloaded
from router.model_table import Model

SLEEPER = Model("small", ("small-app", "large-app"), wake=WakePolicy(max_waiting=2))


async def test_requests_count_while_they_wait() -> None:
    """For the model's own application, each once, until they wait no more."""
    demand = Demand(asyncio.get_running_loop())
    for who in ("a", "b", "a"):
        demand.enter(who, SLEEPER)
    during = demand.now()
    for who in ("a", "b", "c"):
        demand.leave(who)
    assert (Counter({"small-app": 2}), Counter()) == (during, demand.now())


async def test_no_more_wait_than_may() -> None:
    """The next is told that the model is waking up, and when to come back; those before it may go on waiting."""
    demand = Demand(asyncio.get_running_loop())
    demand.enter("a", SLEEPER)
    demand.enter("b", SLEEPER)
    with pytest.raises(EngineOverloaded) as refused:
        demand.enter("c", SLEEPER)
    demand.enter("b", SLEEPER)
    assert (2, 5, True) == (
        demand.now()["small-app"],
        refused.value.retry_after_s,
        "waking up" in refused.value.message,
    )


async def test_a_request_that_went_elsewhere_counts_as_one() -> None:
    """However many did, and however short they were."""
    demand = Demand(asyncio.get_running_loop())
    demand.missed("small-app")
    demand.missed("small-app")
    assert Counter({"small-app": 1}) == demand.now()
