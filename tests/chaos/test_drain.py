"""Replicas and routers that go away while long streams run on them: each stream is finished where it began."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from chaos_house import NUM_REPLICAS, NUM_ROUTERS, Chaos, assert_nothing_leaked
from clients import Asking, Clients
from house_files import KEYS, Json, models_of, router_of
from ledger import Counts, Ending, Form, count
from waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUM_STREAMS = 24
NUM_TOKENS = 300
"""At ten a second: longer than everything else that happens in a change, and shorter than `drain_timeout_s`."""


@asynccontextmanager
async def long_streams(chaos: Chaos, name: str, counts: Counts, *more_doors: str) -> AsyncIterator[Callable[[], int]]:
    """
    So many that each router and each replica has some, behind the routers' own door and `more_doors`. At the end of the
    block each must have ended whole. Says how many are under way.
    """
    doors = [chaos.house.base_url, *more_doors]
    loads = [Clients(Asking(door, KEYS[0], "simulated", {}, num_tokens=NUM_TOKENS)) for door in doors]
    streams = [asyncio.create_task(load.ask(Form.SAMPLED)) for load in loads for _ in range(NUM_STREAMS // len(doors))]

    def num_under_way() -> int:
        return sum(load.ledger.num_under_way() for load in loads)

    try:
        await eventually("all streams are under way", lambda: num_under_way() == NUM_STREAMS)
        yield num_under_way
    finally:
        entries = await asyncio.gather(*streams)
        for load in loads:
            await load.finish()
    counts.update(count(f"drain: {name}", entries))
    assert [Ending.COMPLETE] * NUM_STREAMS == [entry.ending for entry in entries]


async def ending_of_newcomer(chaos: Chaos) -> Ending | None:
    """How a short request ends that comes while others are finished."""
    load = Clients(Asking(chaos.house.base_url, KEYS[0], "simulated", {}, num_tokens=3))
    try:
        return (await load.ask(Form.WHOLE)).ending
    finally:
        await load.finish()


def resized(num_replicas: int, num_routers: int) -> Callable[[Json], None]:
    def change(file: Json) -> None:
        models_of(file)[0]["deployments"][0]["num_replicas"] = num_replicas
        router_of(file)["deployments"][0]["num_replicas"] = num_routers

    return change


async def test_streams_outlast_the_replicas_and_routers_that_go(chaos: Chaos, counts: Counts) -> None:
    """
    Scaled down under long streams behind both doors: who goes finishes its own, gets no more behind either, and is gone
    after the last of them.
    """
    house = chaos.house
    async with long_streams(chaos, "scale down", counts, f"http://127.0.0.1:{chaos.serve_port}/v1") as num_under_way:
        await asyncio.to_thread(house.redeploy, resized(1, 1))
        await eventually("one router listens", lambda: len(house.routers()) == 1)
        assert NUM_STREAMS == num_under_way()
        assert Ending.COMPLETE is await ending_of_newcomer(chaos)
    await asyncio.to_thread(house.wait_whole)
    await asyncio.to_thread(house.redeploy, resized(NUM_REPLICAS, NUM_ROUTERS))
    await asyncio.to_thread(house.wait_whole)


@pytest.mark.parametrize("surge_percent", [0, 100], ids=["in the place of the old", "beside the old"])
async def test_streams_outlast_a_rolling_update(chaos: Chaos, counts: Counts, surge_percent: int) -> None:
    """New `args`, with and without room for the new replicas beside the old ones: long streams and short requests."""
    house = chaos.house
    before = {engine.pid for engine in house.engines()}

    def change(file: Json) -> None:
        models_of(file)[0]["args"]["max_num_seqs"] = 100 + surge_percent
        models_of(file)[0]["deployments"][0]["max_surge_percent"] = surge_percent

    async with long_streams(chaos, f"update, surge {surge_percent} %", counts):
        await asyncio.to_thread(house.redeploy, change)
        await eventually("new replicas run", lambda: {engine.pid for engine in house.engines()} - before)
        assert Ending.COMPLETE is await ending_of_newcomer(chaos)
    await eventually("the old are gone", lambda: not before & {engine.pid for engine in house.engines()})
    await asyncio.to_thread(house.wait_whole)
    await assert_nothing_leaked(chaos)
