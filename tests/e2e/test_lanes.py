"""The router's queue and the lane for completion in a whole house: two routers before one replica with two slots."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from engine_metrics import engine_metric
from house import House, open_house
from house_files import free_port, model, router, serve_file
from prometheus_scrape import exported_name, scrape
from streaming_load import Outcome, Pace, sdk, streamed
from waiting import eventually

from router.metrics import QUEUE_TIME, QUEUED

pytestmark = pytest.mark.houses

RUNNING, WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"
NUM_PROBES = 6
FILE = "# a file that begins with so many characters\n" * 9


@pytest.fixture(scope="module")
def narrow() -> Iterator[House]:
    """Nobody is sent ahead, so that all who find no slot wait in a router."""
    table = router(free_port(), {"simulated": []}, num_replicas=2)
    table["deployments"][0]["user_config"]["models"]["simulated"]["queue"] = {"max_ahead": 0}
    with open_house(serve_file(table, [model("simulated", max_num_seqs=2)])) as house:
        yield house


@asynccontextmanager
async def taken(house: House) -> AsyncIterator[None]:
    """Both slots have long streams, for as long as the block runs. The routers may not know of each other's at once."""
    (engine,) = house.engines()
    async with sdk(house) as client:
        streams = [asyncio.create_task(streamed(client, Pace(4000, token_ms=100), Outcome())) for _ in range(2)]
        await eventually("both slots are taken", lambda: engine_metric(engine, RUNNING) == 2)
        yield
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
    await eventually("they are gone", lambda: engine_metric(engine, RUNNING) == 0)


def ask(house: House, path: str, body: dict[str, object], priority: str) -> "asyncio.Task[tuple[int, dict[str, str]]]":
    """One request on a connection of its own, which the kernel gives to either router: its status and headers."""

    async def post() -> tuple[int, dict[str, str]]:
        headers = {"x-enginehouse-priority": priority, "connection": "close"}
        body_of_one = {"model": "simulated", **body}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{house.base_url}/{path}", json=body_of_one) as answer,
        ):
            await answer.read()
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}

    return asyncio.create_task(post())


async def test_requests_wait_in_the_routers_and_not_in_the_engine(narrow: House) -> None:
    """In both of them, once they know from the replica's figures what it does; and are answered when a slot is free."""
    (engine,) = narrow.engines()
    body: dict[str, object] = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
    async with taken(narrow):
        has_passed = True
        while has_passed:  # the figures come within a second or two
            probes = [ask(narrow, "chat/completions", body, "background") for _ in range(NUM_PROBES)]
            await eventually(
                "all of them wait",
                lambda: engine_metric(engine, WAITING) or num_queued(narrow, "background") == NUM_PROBES,
            )
            has_passed = engine_metric(engine, WAITING) > 0
            if has_passed:
                for probe in probes:
                    probe.cancel()
                await asyncio.gather(*probes, return_exceptions=True)
                await eventually("they are gone", lambda: engine_metric(engine, WAITING) == 0)
    assert [200] * NUM_PROBES == [(await probe)[0] for probe in probes]
    name = f"{exported_name(QUEUE_TIME)}_count"
    await eventually("their waits are counted", lambda: scrape(narrow).total(name, priority="background") >= NUM_PROBES)


def num_queued(house: House, priority: str) -> float:
    return scrape(house).total(exported_name(QUEUED), model="simulated", priority=priority)


async def test_the_next_key_supersedes_down_to_the_engine(narrow: House) -> None:
    """Where both come to one router: a connection that is kept goes to the same one."""
    (engine,) = narrow.engines()
    slow = {"simulated": {"num_tokens": 4000, "inter_token_ms": 100}, "suffix": "\n", "model": "simulated"}
    quick = {"simulated": {"num_tokens": 2, "inter_token_ms": 1}, "suffix": "\n", "model": "simulated"}
    older = ask(narrow, "completions", {**slow, "prompt": FILE + "def f"}, "interactive")
    await eventually("it runs", lambda: engine_metric(engine, RUNNING) == 1)
    while not older.done():  # until the router that has it is asked
        await ask(narrow, "completions", {**quick, "prompt": FILE + "def fi"}, "interactive")
    status, headers = await older
    assert (200, "true") == (status, headers["x-enginehouse-superseded"])
    await eventually("the engine has stopped", lambda: engine_metric(engine, RUNNING) == 0)
