"""Engines that stand still (SIGSTOP), as real processes: they are passed over until they give a sign of life."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from door import Door, OpenDoor
from engine_processes import EngineProcess, running_engines
from polling import eventually
from wire import CHAT_STREAM, DONE

from configs.reliability import HedgingPolicy, ReliabilityPolicy
from router.metrics import HEDGES, PICKS
from router.replicas.registry import Figures

STANDING = Figures(1, 0, 0, None)
"""The last that it said."""
NUM_REQUESTS = 12
"""Enough for each of two replicas to have its turn several times."""


@pytest_asyncio.fixture
async def frozen(open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Door, EngineProcess]]:
    """A router over two engines, and the one of them that is to stand still. No pause ends by itself."""
    monkeypatch.setattr("router.reliability.suspicion.FIRST_PAUSE_S", 600.0)
    monkeypatch.setattr("router.reliability.suspicion.MAX_PAUSE_S", 600.0)
    with running_engines("frozen", "alive") as engines:
        door = await open_door()
        for engine in engines:
            await engine.ready()
        door.serve_with(*(engine.replica for engine in engines))
        yield door, engines[0]
        engines[0].go_on()


def num_picks(door: Door, replica_id: str = "frozen") -> float:
    return door.sink.total(PICKS, replica=replica_id)


async def is_answered(door: Door) -> bool:
    answer = await door.post(CHAT_STREAM)
    return answer.status == 200 and answer.body.endswith(DONE)


async def ask_until_picked(door: Door) -> None:
    """Ask one after another until it has been the frozen one's turn once more."""
    before = num_picks(door)
    for _ in range(NUM_REQUESTS):
        if num_picks(door) == before:
            assert await is_answered(door)
    assert before + 1 == num_picks(door)


async def test_one_that_lost_a_hedge_is_not_asked_again(
    frozen: tuple[Door, EngineProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until its server has given new figures twice: those that come first may have been taken before."""
    monkeypatch.setattr("router.reliability.suspicion._MIN_LEAD", 1.0)  # however slow this machine is
    door, engine = frozen
    door.set_reliability(ReliabilityPolicy(hedging=HedgingPolicy(enabled=True, delay_ms=2000)))
    door.state.take_over_figures({"frozen": STANDING})
    await engine.stand_still()
    await ask_until_picked(door)
    assert [True] * NUM_REQUESTS == [await is_answered(door) for _ in range(NUM_REQUESTS)]
    assert (1, 1) == (num_picks(door), door.sink.total(HEDGES, replica="alive", outcome="won"))
    engine.go_on()
    for number in (2, 3):
        door.state.take_over_figures({"frozen": await engine.figures(number)})
    await ask_until_picked(door)


async def test_one_that_gives_no_figures_takes_nothing_new_and_loses_nothing(
    frozen: tuple[Door, EngineProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without hedging. The stream that it has goes on when it does, and is a sign of life."""
    monkeypatch.setattr("router.replicas.registry.MAX_FIGURES_AGE_S", 0.0)
    door, engine = frozen
    both = door.replicas
    door.serve_with(engine.replica)
    await engine.stand_still()
    asking = asyncio.create_task(door.post(CHAT_STREAM))
    await eventually(lambda: engine.replica.num_running == 1)
    door.serve_with(*both)
    for _ in range(2):
        both[1].begin()  # so that the one that stands still is the less busy of them
    began_at = door.state.loop.time()
    door.state.take_over_figures({"frozen": STANDING, "alive": Figures(1, 0, 0, None)})
    await eventually(lambda: door.state.loop.time() > began_at)
    door.state.take_over_figures({"frozen": STANDING, "alive": Figures(2, 0, 0, None)})
    assert [True] * NUM_REQUESTS == [await is_answered(door) for _ in range(NUM_REQUESTS)]
    assert (1, False) == (num_picks(door), asking.done())
    engine.go_on()
    assert (await asking).body.endswith(DONE)
    await ask_until_picked(door)
