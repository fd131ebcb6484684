"""Replica choice in a whole house: two routers that say nothing to each other, and what replicas say to both."""

import asyncio
import contextlib
import time
from contextlib import AsyncExitStack
from urllib.error import URLError

import openai
import pytest
from engine_metrics import engine_metric
from house import House
from house_processes import EngineProcess
from prometheus_scrape import exported_name, scrape
from streaming_load import Outcome, Pace, sdk, streamed, whole
from waiting import DEADLINE_S, eventually

from router.metrics import PICKS

pytestmark = pytest.mark.houses

RUNNING = "vllm:num_requests_running"
FINISHED = "vllm:request_success_total"
NUM_PROBES = 12


def in_session(house: House, session: str) -> openai.AsyncOpenAI:
    """A client that names its session. Each of its copies opens a connection of its own, to either router."""
    return sdk(house).copy(default_headers={"x-session-id": session, "connection": "close"})


async def probe(house: House, session: str) -> None:
    """So many short requests of a session on new connections, which the kernel deals out to the routers."""
    async with in_session(house, session) as client:
        outcomes = [await whole(client, Pace(1)) for _ in range(NUM_PROBES)]
    assert [True] * NUM_PROBES == [one.is_whole for one in outcomes]


def num_finished(engines: list[EngineProcess]) -> list[int]:
    return [int(engine_metric(engine, FINISHED)) for engine in engines]


async def test_both_routers_send_a_session_to_one_replica(pair: House) -> None:
    """And the choices are counted, once the processes have reported."""
    engines = pair.engines()
    before = num_finished(engines)
    await probe(pair, "session-1")
    assert [0, NUM_PROBES] == sorted(now - then for now, then in zip(num_finished(engines), before, strict=True))
    await eventually("the picks are exported", lambda: num_affine(pair) >= NUM_PROBES)


def num_affine(house: House) -> float:
    """0 as long as nothing is exported."""
    with contextlib.suppress(URLError):
        return scrape(house).total(exported_name(PICKS), reason="affine")
    return 0


async def sessions_at_home(house: House, home: EngineProcess, num_sessions: int) -> list[str]:
    """Sessions whose home is that engine's replica."""
    found: list[str] = []
    for number in range(200):
        before = engine_metric(home, FINISHED)
        async with in_session(house, f"session-{number}") as client:
            await whole(client, Pace(1))
        if engine_metric(home, FINISHED) > before:
            found.append(f"session-{number}")
        if len(found) == num_sessions:
            return found
    raise AssertionError(f"of 200 sessions {len(found)} have their home there")


async def hold(client: openai.AsyncOpenAI, home: EngineProcess, other: EngineProcess) -> "asyncio.Task[Outcome]":
    """
    One more long stream at the home.

    Routers may take a request that has just ended for another router's, and send one elsewhere for a second or two.
    """
    num_held = engine_metric(home, RUNNING)
    for _ in range(100):
        stream = asyncio.create_task(streamed(client, Pace(4000, token_ms=100), Outcome()))
        await eventually("it runs", lambda: engine_metric(home, RUNNING) + engine_metric(other, RUNNING) > num_held)
        if engine_metric(home, RUNNING) > num_held:
            return stream
        stream.cancel()
        await eventually("it is gone", lambda: engine_metric(other, RUNNING) == 0)
    raise AssertionError("the home does not take it")


async def test_a_router_hears_of_the_other_ones_requests(pair: House) -> None:
    """Eight requests are what one of two replicas may have: a home with as many of both routers is full for either."""
    home, other = pair.engines()
    *holders, probed = await sessions_at_home(pair, home, 9)
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(in_session(pair, session)) for session in holders]
        held = [await hold(client, home, other) for client in clients]
        deadline = time.monotonic() + DEADLINE_S
        has_passed = True
        while has_passed:
            assert time.monotonic() < deadline, "some router still sends requests to the home"
            before = engine_metric(home, FINISHED)
            await probe(pair, probed)
            has_passed = engine_metric(home, FINISHED) > before
        for one in held:
            one.cancel()
        await asyncio.gather(*held, return_exceptions=True)
