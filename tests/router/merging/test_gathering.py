"""When gathered requests go, and who is told what: without engines."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from configs.router import MergingPolicy
from router.errors import EngineOverloaded
from router.merging.gathering import Gatherings, num_due
from router.merging.inputs import Inputs

POLICY = MergingPolicy(max_inputs=4, max_bytes=1024)


def texts(*items: str) -> Inputs:
    return Inputs("texts", items, sum(map(len, items)))


ONE = texts("a")


@pytest.mark.parametrize(
    ("waiting", "num_running", "expected"),
    [
        ([ONE], 0, 1),
        ([ONE, ONE, ONE], 0, 3),
        ([ONE, ONE, ONE], 1, 0),
        ([ONE] * 4, 1, 4),
        ([ONE] * 9, 1, 4),
        ([texts("a", "b", "c"), texts("a", "b")], 1, 1),
        ([texts("a" * 1000), texts("b" * 100)], 1, 1),
        ([texts("a" * 1024)], 1, 1),
        ([], 0, 0),
    ],
    ids=["idle", "all", "busy", "full", "over", "would-not-fit", "too-many-bytes", "full-of-bytes", "none"],
)
def test_when_requests_go(waiting: list[Inputs], num_running: int, expected: int) -> None:
    """All at once while nothing runs; while something does, only what fills a call."""
    assert expected == num_due(waiting, POLICY, num_running, num_places=1)


def test_each_replica_has_a_call() -> None:
    """With two replicas, a second call goes while the first is being answered."""
    assert [1, 0] == [num_due([ONE], POLICY, num_running, num_places=2) for num_running in (1, 2)]


@dataclass(eq=False)
class Member:
    inputs: Inputs = ONE


@dataclass
class Engine:
    """Answers when it is told to."""

    calls: list[list[Member]] = field(default_factory=list)
    endings: list["asyncio.Future[None]"] = field(default_factory=list)

    async def ask(self, members: Sequence[Member]) -> None:
        self.calls.append(list(members))
        self.endings.append(asyncio.get_running_loop().create_future())
        await self.endings[-1]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def start(gatherings: Gatherings, engine: Engine, *members: Member) -> list["asyncio.Task[None]"]:
    return [asyncio.create_task(gatherings.join("key", member, POLICY, 1, engine.ask)) for member in members]


async def test_what_comes_while_a_call_runs_goes_after_it() -> None:
    """As one call, the moment that the first is over."""
    gatherings, engine = Gatherings(asyncio.get_running_loop()), Engine()
    first, second, third = Member(), Member(), Member()
    tasks = start(gatherings, engine, first)
    await settle()
    tasks += start(gatherings, engine, second, third)
    await settle()
    assert [[first]] == engine.calls
    engine.endings[0].set_result(None)
    await settle()
    assert [[first], [second, third]] == engine.calls
    engine.endings[1].set_result(None)
    await asyncio.gather(*tasks)
    await settle()
    assert {} == gatherings._gatherings


async def test_who_leaves_while_gathering_is_not_asked_for() -> None:
    """The others are."""
    gatherings, engine = Gatherings(asyncio.get_running_loop()), Engine()
    leaver, stayer = Member(), Member()
    (first,) = start(gatherings, engine, Member())
    await settle()
    leaving, staying = start(gatherings, engine, leaver, stayer)
    await settle()
    leaving.cancel()
    engine.endings[0].set_result(None)
    await settle()
    assert [stayer] == engine.calls[1]
    engine.endings[1].set_result(None)
    await asyncio.gather(first, staying)


async def test_a_call_goes_on_until_nobody_wants_it() -> None:
    """One who leaves a running call does not end it; the last one does."""
    gatherings, engine = Gatherings(asyncio.get_running_loop()), Engine()
    first, second = start(gatherings, engine, Member(), Member())
    await settle()
    first.cancel()
    await settle()
    assert not engine.endings[0].cancelled()
    second.cancel()
    await settle()
    assert (1, True) == (len(engine.calls), engine.endings[0].cancelled())


async def test_an_error_is_everybodys() -> None:
    """And the next call goes as if nothing had happened."""
    gatherings, engine = Gatherings(asyncio.get_running_loop()), Engine()
    tasks = start(gatherings, engine, Member(), Member())
    await settle()
    engine.endings[0].set_exception(EngineOverloaded("full"))
    assert [EngineOverloaded] * 2 == [type(one) for one in await asyncio.gather(*tasks, return_exceptions=True)]
    (again,) = start(gatherings, engine, Member())
    await settle()
    engine.endings[1].set_result(None)
    await again
