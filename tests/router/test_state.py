"""router.state: what the requests of one event loop share."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from door import APPLICATION, Door
from polling import eventually
from recording_sink import RecordingSink
from scripted_engine import ScriptedEngine
from wire import CHAT, WHOLE

from configs.router import ListenerSettings, ModelRoute, RequestSettings, RouterUserConfig
from router.http.auth import KeyRing
from router.metrics import RUNNING
from router.models.table import ModelTable
from router.state import RouterState


@pytest.fixture
async def sink() -> RecordingSink:
    return RecordingSink()


@pytest.fixture
async def state(sink: RecordingSink) -> AsyncIterator[RouterState]:
    """A state without a door."""
    table = ModelTable(RouterUserConfig(models={}))
    opened = RouterState(table, KeyRing([]), ListenerSettings(), sink, "router-1")
    yield opened
    await opened.close()


async def test_everything_under_way_is_ticked(state: RouterState) -> None:
    """With loop time; what is done is no longer."""

    class Ticked:
        def __init__(self) -> None:
            self.times: list[float] = []

        def tick(self, now: float) -> None:
            self.times.append(now)
            state.generations.discard(self)

    ticked = [Ticked(), Ticked()]
    state.generations.update(ticked)
    await eventually(lambda: all(one.times for one in ticked))
    assert [1, 1] == [len(one.times) for one in ticked]
    assert 1 > abs(ticked[0].times[0] - state.loop.time())


async def test_running_requests_are_reported(state: RouterState, sink: RecordingSink, engine: ScriptedEngine) -> None:
    """For each replica, with the router's name."""
    replica = engine.replica("r1")
    state.take_over_replicas("a", [replica])
    replica.num_running = 3
    labels = {"model": "m", "engine": "llama_cpp", "replica": "r1", "router": "router-1"}
    await eventually(lambda: any(one.value == 3 for one in sink.of(RUNNING, **labels)))


async def test_a_replica_that_left_is_reported_until_it_is_idle(
    state: RouterState, sink: RecordingSink, engine: ScriptedEngine
) -> None:
    """Its last value is 0, so that no graph shows its requests for ever."""
    replica = engine.replica("r1")
    state.take_over_replicas("a", [replica])
    replica.num_running = 2
    state.take_over_replicas("a", [])
    await eventually(lambda: any(one.value == 2 for one in sink.of(RUNNING)))
    replica.num_running = 0
    await eventually(lambda: [*sink.of(RUNNING)][-1].value == 0)
    num_reported = len([*sink.of(RUNNING)])
    ticks: list[float] = []
    state.generations.add(type("Counting", (), {"tick": lambda _self, now: ticks.append(now)})())
    await eventually(lambda: len(ticks) >= 3)
    assert num_reported == len([*sink.of(RUNNING)])


async def test_each_replica_has_one_pool(state: RouterState, engine: ScriptedEngine) -> None:
    """Until it is gone; one that comes back has a new one."""
    replica, other = engine.replica("r1"), engine.replica("r2")
    state.take_over_replicas("a", [replica, other])
    pool = state.pool(replica)
    assert pool is state.pool(replica)
    assert pool is not state.pool(other)
    state.take_over_replicas("a", [other])
    state.take_over_replicas("a", [replica, other])
    assert pool is not state.pool(replica)


async def test_turns_grow(state: RouterState) -> None:
    """Each request has its own."""
    assert [1, 2, 3] == [state.next_turn() for _ in range(3)]


async def test_a_new_table_does_not_touch_what_runs(door: Door, engine: ScriptedEngine) -> None:
    """A request keeps the model that it began with; the next one sees the new table."""
    gate = asyncio.Event()
    engine.script(gate, WHOLE)
    running = asyncio.ensure_future(door.post(CHAT))
    await eventually(lambda: engine.requests)
    other = RouterUserConfig(models={"other": ModelRoute(application=APPLICATION)}, requests=RequestSettings())
    door.state.take_over_table(ModelTable(other))
    assert "model_not_found" == (await door.post(CHAT)).error["code"]
    gate.set()
    assert 200 == (await running).status


async def test_a_replica_that_leaves_finishes_what_it_has(door: Door, engine: ScriptedEngine) -> None:
    """Its requests go on; its connections are closed with them."""
    gate = asyncio.Event()
    engine.script(gate, WHOLE)
    running = asyncio.ensure_future(door.post(CHAT))
    await eventually(lambda: engine.requests)
    door.serve_with()
    gate.set()
    assert 200 == (await running).status
    await eventually(lambda: engine.num_open == 0)
