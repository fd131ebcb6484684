"""What a router says of replicas that it passes over: in metrics, at `/health`, and to `enginehouse status`."""

import json
from typing import Any

import pytest
from broken_streams import two_engines
from door import Door, OpenDoor
from engine_processes import running_engines
from polling import eventually
from scripted_engine import ScriptedEngine
from wire import CHAT, WHOLE, whole

from configs.reliability import BreakerPolicy, ReliabilityPolicy
from router.metrics import BREAKER_OPEN, BREAKER_OPENINGS, SUSPECTED, SUSPICIONS, Metric
from router.replicas.registry import Doubt, Figures

FAILURE = {"error": {"message": "out of blocks", "type": "InternalServerError", "param": None, "code": 500}}


async def health(door: Door) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((await door.ask("GET", "/health")).body)
    return document


async def told(door: Door, metric: Metric, **expected: float) -> None:
    """Wait until the gauge is told anew as expected of each replica."""
    door.sink.records.clear()
    await eventually(
        lambda: (
            expected == {one.labels["replica"]: one.value for one in door.sink.of(metric, router=door.state.router_id)}
        )
    )


async def test_a_dead_replica_is_counted(open_door: OpenDoor) -> None:
    """Serve still has it in its list; the router, which could not reach it, says so."""
    with running_engines("dying", "alive") as engines:
        door = await open_door()
        for engine in engines:
            await engine.ready()
        door.serve_with(*(engine.replica for engine in engines))
        await told(door, BREAKER_OPEN, dying=0.0, alive=0.0)
        assert {} == (await health(door))["doubted_replicas"]
        engines[0].process.kill()
        assert [200] * 4 == [(await door.post(CHAT)).status for _ in range(4)]  # it has its turn among them
        found = await health(door)
        assert ({"m": 2}, {"m": 1}) == (found["ready_replicas"], found["doubted_replicas"])
        assert [Doubt("dying", "m", is_failing=True, may_stand_still=False)] == door.state.doubts()
        assert 1 == door.sink.total(BREAKER_OPENINGS, model="m", replica="dying")
        await told(door, BREAKER_OPEN, dying=1.0, alive=0.0)


async def test_one_that_answers_again_is_not_doubted(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Its breaker is open until a request succeeds there, however long ago its pause was over."""
    engine.otherwise, other_engine.otherwise = [whole(FAILURE, 500)], [WHOLE]
    two_engines(door, engine, other_engine)
    door.set_reliability(ReliabilityPolicy(circuit_breaker=BreakerPolicy(max_failures=1, max_pause_ms=1000)))
    while not (doubts := door.state.doubts()):
        await door.post(CHAT)
    assert [(True, False)] == [(one.is_failing, one.may_stand_still) for one in doubts]
    (failing,) = (one for one in door.state.directory.all() if one.replica_id == doubts[0].replica_id)
    await eventually(lambda: door.state.loop.time() > failing.blocked_until)
    assert {"m": 1} == (await health(door))["doubted_replicas"]
    engine.otherwise = [WHOLE]
    while door.state.doubts():
        await door.post(CHAT)
    assert {} == (await health(door))["doubted_replicas"]


async def test_one_that_may_stand_still_is_counted(open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it speaks again."""
    monkeypatch.setattr("router.replicas.registry.MAX_FIGURES_AGE_S", 0.0)
    with running_engines("frozen", "alive") as engines:
        door = await open_door()
        door.serve_with(*(engine.replica for engine in engines))
        began_at = door.state.loop.time()
        door.state.take_over_figures({"frozen": Figures(1, 0, 0, None), "alive": Figures(1, 0, 0, None)})
        await eventually(lambda: door.state.loop.time() > began_at)
        door.state.take_over_figures({"frozen": Figures(1, 0, 0, None), "alive": Figures(2, 0, 0, None)})
        assert [Doubt("frozen", "m", is_failing=False, may_stand_still=True)] == door.state.doubts()
        assert {"m": 1} == (await health(door))["doubted_replicas"]
        assert 1 == door.sink.total(SUSPICIONS, model="m", replica="frozen")
        await told(door, SUSPECTED, frozen=1.0, alive=0.0)
        door.state.take_over_figures({"frozen": Figures(2, 0, 0, None), "alive": Figures(3, 0, 0, None)})
        await told(door, SUSPECTED, frozen=0.0, alive=0.0)
        assert {} == (await health(door))["doubted_replicas"]
