"""Real engines killed and frozen, during as many requests as they bear on a small machine."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from chaos_house import Chaos, assert_nothing_leaked, engine_ports
from clients import Asking, Clients
from faults import LLAMA_CPP_FAULTS, Fault
from house_files import KEYS
from ledger import Counts, Form
from striking import judge, strike

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("chaos", ["llama_cpp"], indirect=True, scope="session"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def load(chaos: Chaos) -> AsyncIterator[Clients]:
    """More than have room in the engines, so that some always wait there."""
    load = Clients(Asking(chaos.house.base_url, KEYS[0], "twins", {Form.SAMPLED: 8, Form.WHOLE: 4}, num_tokens=24))
    await load.start()
    yield load
    await load.finish()


@pytest.mark.parametrize("fault", LLAMA_CPP_FAULTS, ids=str)
async def test_a_fault_of_llama_cpp(chaos: Chaos, load: Clients, fault: Fault, counts: Counts) -> None:
    """Every request is answered with all its tokens: streams that had begun on a killed engine go on with the other."""
    ports_before = engine_ports(chaos.house)
    met = await strike(chaos, load, fault)
    judge(fault, met, counts, engine="llama.cpp")
    chaos.note_ports(ports_before)


async def test_nothing_is_left_of_llama_cpps_faults(chaos: Chaos, load: Clients) -> None:
    """No request is counted any more, no engine has outlived its replica, and the ports of those that went are free."""
    await load.finish()
    await assert_nothing_leaked(chaos)
