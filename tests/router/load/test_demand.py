"""`router/load/demand.py`."""

import asyncio
from collections import Counter

import pytest
from door import APPLICATION, Door
from polling import eventually
from scripted_engine import ScriptedEngine
from wire import CHAT, WHOLE

from configs.wake import WakePolicy
from router.errors import EngineOverloaded
from router.load.demand import Demand
from router.models.table import Model

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


async def test_requests_that_wait_for_a_replica_are_wanted_until_it_is_there(
    door: Door, engine: ScriptedEngine
) -> None:
    """Each of them counts, for whoever decides how many replicas there are."""
    engine.otherwise = [WHOLE]
    door.serve_with()
    asking = [asyncio.create_task(door.post(CHAT)) for _ in range(2)]
    await eventually(lambda: door.state.load().demand[APPLICATION] == 2)
    door.serve_with(engine.replica("r1"))
    assert [200, 200] == [answer.status for answer in await asyncio.gather(*asking)]
    assert door.state.load().demand[APPLICATION] <= 1  # what is remembered of a miss


async def test_lines_of_batches_want_a_replica_where_there_is_none(door: Door, engine: ScriptedEngine) -> None:
    """They wait for the slack, and count as one; where there is a replica, only the slack is wanted."""

    async def ask() -> None:
        await asyncio.Event().wait()

    door.serve_with()
    lines = [asyncio.create_task(door.state.lanes.run_line(APPLICATION, ask)) for _ in range(3)]
    await eventually(lambda: door.state.lanes.num_waiting() == {APPLICATION: 1})
    door.serve_with(engine.replica("r1"))
    assert {} == door.state.lanes.num_waiting()
    for line in lines:
        line.cancel()
    await asyncio.gather(*lines, return_exceptions=True)
