"""One fault after another during 200 streams and 40 whole answers: each is answered whole, or told that it is not."""

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio
from chaos_house import Chaos, assert_nothing_leaked, engine_ports
from clients import Asking, Clients
from faults import FAULTS, Fault
from house_files import KEYS, Json, router_of
from ledger import Counts, Ending, Form
from raw_http import ask, request
from striking import judge, strike
from waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUM_CLIENTS = {Form.SAMPLED: 120, Form.GREEDY: 80, Form.WHOLE: 40}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def load(chaos: Chaos) -> AsyncIterator[Clients]:
    """Behind the routers' own listener."""
    load = Clients(Asking(chaos.house.base_url, KEYS[0], "simulated", NUM_CLIENTS))
    await load.start()
    yield load
    await load.finish()


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_a_fault_under_200_streams(chaos: Chaos, load: Clients, fault: Fault, counts: Counts) -> None:
    """Nothing is cut short in silence, nothing hangs, and only what the fault took away fails."""
    ports_before = engine_ports(chaos.house)
    met = await strike(chaos, load, fault)
    judge(fault, met, counts)
    chaos.note_ports(ports_before)


async def test_no_place_is_kept_by_requests_that_are_gone(chaos: Chaos, load: Clients) -> None:
    """Routers that take one request of the model at a time answer one after another: none that left is counted on."""
    await load.finish()
    await asyncio.to_thread(chaos.house.redeploy, partial(_limit, is_narrow=True))
    try:
        await eventually("every router has the limit", lambda: all("narrow" in _names(chaos) for _ in range(12)))
        assert {Ending.COMPLETE} == {await _ending_on_new_connection(chaos) for _ in range(12)}
    finally:
        await asyncio.to_thread(chaos.house.redeploy, partial(_limit, is_narrow=False))
    await eventually("no router has it any more", lambda: not any("narrow" in _names(chaos) for _ in range(12)))


def _limit(file: Json, *, is_narrow: bool) -> None:
    row = router_of(file)["deployments"][0]["user_config"]["models"]["simulated"]
    row["limits"] = {"max_requests": 1} if is_narrow else {}
    row["aliases"] = ["default", "narrow"] if is_narrow else ["default"]


def _names(chaos: Chaos) -> list[str]:
    """Of the models at the router that the kernel gives a new connection to."""
    answer = ask(chaos.house.port, request("GET", "/v1/models", authorization=f"Bearer {KEYS[0]}"))
    return [card["id"] for card in json.loads(answer.body)["data"]]


async def _ending_on_new_connection(chaos: Chaos) -> Ending | None:
    load = Clients(Asking(chaos.house.base_url, KEYS[0], "simulated", {}, num_tokens=3))
    try:
        return (await load.ask(Form.WHOLE)).ending
    finally:
        await load.finish()


async def test_nothing_is_left_of_the_faults(chaos: Chaos, load: Clients) -> None:
    """No request is counted any more, no engine has outlived its replica, and the ports of those that went are free."""
    await load.finish()
    await assert_nothing_leaked(chaos)
