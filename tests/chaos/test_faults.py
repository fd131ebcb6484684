"""One fault after another during 200 concurrent requests: each is answered whole, or told that it is not."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from chaos_house import Chaos, assert_nothing_leaked, engine_ports
from clients import Asking, Clients
from faults import FAULTS, Fault
from house_files import KEYS
from ledger import Counts, Form
from striking import judge, strike

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUM_CLIENTS = {Form.SAMPLED: 100, Form.GREEDY: 60, Form.WHOLE: 40}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def load(chaos: Chaos) -> AsyncIterator[Clients]:
    """Behind the routers' own listener."""
    load = Clients(Asking(chaos.house.base_url, KEYS[0], "simulated", NUM_CLIENTS))
    await load.start()
    yield load
    await load.finish()


@pytest.mark.parametrize("fault", FAULTS, ids=str)
async def test_a_fault_under_200_requests(chaos: Chaos, load: Clients, fault: Fault, counts: Counts) -> None:
    """Nothing is cut short in silence, nothing hangs, and only what the fault took away fails."""
    ports_before = engine_ports(chaos.house)
    met = await strike(chaos, load, fault)
    judge(fault, met, counts)
    chaos.old_ports.update(ports_before)


async def test_nothing_is_left_of_the_faults(chaos: Chaos, load: Clients) -> None:
    """No request is counted any more, no engine has outlived its replica, and the ports of those that went are free."""
    await load.finish()
    await assert_nothing_leaked(chaos)
