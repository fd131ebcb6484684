"""Who else is asked before the first byte, how often, and after what pause, through a router's own socket."""

import asyncio

from door import Door, OpenDoor
from polling import eventually
from scripted_engine import Ending, ScriptedEngine
from wire import CHAT, WHOLE, whole

from configs.reliability import BreakerPolicy, ReliabilityPolicy, RetryPolicy
from configs.router import RequestSettings
from router.metrics import REFUSED_RETRIES, RETRIES

OVERLOADED = whole({"error": {"message": "queue is full"}}, 503)
NO_BUDGET = RetryPolicy(max_ratio=0, min_retries=0)


async def test_retries_of_an_overloaded_model_are_bounded(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Of twenty requests that both replicas refuse, five more attempts: three, and a tenth of the requests."""
    engine.otherwise = other_engine.otherwise = [OVERLOADED]
    door.serve_with(engine.replica("r1"), other_engine.replica("r2"))
    door.set_reliability(ReliabilityPolicy(retries=RetryPolicy(max_ratio=0.1, min_retries=3, window_s=600)))
    answers = [await door.post(CHAT) for _ in range(20)]
    assert {503} == {answer.status for answer in answers}
    assert (5, 25) == (door.sink.total(RETRIES), len(engine.requests) + len(other_engine.requests))
    assert 0 < door.sink.total(REFUSED_RETRIES)


async def test_the_first_loss_is_free(door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine) -> None:
    """A replica that is gone does nothing for its requests: all of them may go elsewhere, without any budget."""
    engine.otherwise, other_engine.otherwise = [Ending.RESET], [WHOLE]
    door.serve_with(other_engine.replica("good"), engine.replica("gone"))
    door.set_reliability(
        ReliabilityPolicy(retries=NO_BUDGET, circuit_breaker=BreakerPolicy(first_pause_ms=1, max_pause_ms=1))
    )
    assert {200} == {(await door.post(CHAT)).status for _ in range(10)}


async def test_a_fallback_is_asked_without_any_budget(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The budget is to spare the model's own replicas. Once for a request: a fallback that is full is spared, too."""
    engine.otherwise, other_engine.otherwise = [OVERLOADED], [WHOLE]
    door.set_route(fallbacks=("spare",), reliability={"retries": NO_BUDGET})
    door.serve_with(engine.replica("r1"), engine.replica("r2"))
    door.state.take_over_replicas("spare", [other_engine.replica("f1"), other_engine.replica("f2")])
    assert {200} == {(await door.post(CHAT)).status for _ in range(10)}
    assert (10, 10) == (len(engine.requests), len(other_engine.requests))
    other_engine.otherwise = [OVERLOADED]
    assert 503 == (await door.post(CHAT)).status
    assert (11, 11) == (len(engine.requests), len(other_engine.requests))


async def test_a_second_loss_is_not(door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine) -> None:
    """A request that each replica dies of must not end all of them."""
    engine.otherwise = other_engine.otherwise = [Ending.RESET]
    door.serve_with(engine.replica("r1"), other_engine.replica("r2"))
    door.set_reliability(ReliabilityPolicy(retries=NO_BUDGET))
    answer = await door.post(CHAT)
    assert (503, 1, 1) == (answer.status, len(engine.requests), len(other_engine.requests))
    assert 1 == door.sink.total(REFUSED_RETRIES)


async def test_a_replica_that_failed_once_is_tried_again(door: Door, engine: ScriptedEngine) -> None:
    """After a pause, where there is no other: a connection may break that is nobody's death."""
    engine.script(Ending.RESET)
    engine.script(WHOLE)
    assert (200, 2) == ((await door.post(CHAT)).status, len(engine.requests))


async def test_the_last_attempt_is_kept_for_a_new_replica(
    open_door: OpenDoor, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """However often the old one is tried again meanwhile."""
    door = await open_door(RequestSettings(replica_wait_s=60, max_attempts=4))
    door.set_reliability(ReliabilityPolicy(retries=RetryPolicy(first_pause_ms=1, max_pause_ms=1)))
    engine.otherwise, other_engine.otherwise = [Ending.RESET], [WHOLE]
    door.serve_with(engine.replica("r1"))
    asking = asyncio.create_task(door.post(CHAT))
    await eventually(lambda: len(engine.requests) == 3)
    door.serve_with(other_engine.replica("r2"))
    assert (200, 3) == ((await asking).status, len(engine.requests))


async def test_one_request_probes_a_replica_that_was_lost(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Of many that come after the pause; the others go where they are safe."""
    engine.script(Ending.RESET)
    other_engine.otherwise = [WHOLE]
    door.serve_with(other_engine.replica("good"), engine.replica("lost"))
    door.set_reliability(ReliabilityPolicy(circuit_breaker=BreakerPolicy(first_pause_ms=1, max_pause_ms=60_000)))
    await door.post(CHAT)
    go = asyncio.Event()
    engine.otherwise = [go, WHOLE]
    lost = door.replicas[1]
    await eventually(lambda: lost.blocked_until <= door.state.loop.time())
    asking = [asyncio.create_task(door.post(CHAT)) for _ in range(10)]
    await eventually(lambda: len(other_engine.requests) == 10 and len(engine.requests) == 2)
    go.set()
    assert [200] * 10 == [(await one).status for one in asking]
    assert 0.0 == lost.blocked_until


async def test_a_probe_whose_client_leaves_is_followed_by_another(door: Door, engine: ScriptedEngine) -> None:
    """Nothing is known of the replica then, which would else be passed over for the longest pause."""
    policy = BreakerPolicy(first_pause_ms=1, max_pause_ms=600_000)
    door.set_reliability(ReliabilityPolicy(circuit_breaker=policy))
    recovering = door.replicas[0]
    recovering.breaker.failed(0.0, policy, 0.5, is_lost=True)
    engine.script(asyncio.Event())
    client = await door.client()
    await client.post(CHAT)
    await eventually(lambda: engine.requests)
    is_passed_over = [recovering.blocked_until > door.state.loop.time()]
    client.leave()
    await eventually(lambda: door.num_running == 0)
    is_passed_over.append(recovering.blocked_until > door.state.loop.time())
    assert [True, False] == is_passed_over


async def test_an_engine_that_always_fails_is_passed_over(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """It can be reached, and answers each request with a fault of its own."""
    engine.otherwise, other_engine.otherwise = [whole({"error": {"message": "no"}}, 500)], [WHOLE]
    door.serve_with(engine.replica("bad"), other_engine.replica("good"))
    policy = BreakerPolicy(max_failures=2, first_pause_ms=600_000, max_pause_ms=600_000)
    door.set_reliability(ReliabilityPolicy(circuit_breaker=policy))
    statuses = [(await door.post(CHAT)).status for _ in range(20)]
    assert (2, 18) == (statuses.count(500), statuses.count(200))
