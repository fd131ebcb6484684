"""HAProxy, which stands behind Serve's door, killed and frozen during 200 concurrent streams and 40 whole answers."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from chaos_house import Chaos, assert_nothing_leaked
from clients import Asking, Clients
from faults import HAPROXY_FAULTS, Fault
from house_files import KEYS
from ledger import Counts, Form
from striking import judge, strike

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUM_CLIENTS = {Form.SAMPLED: 120, Form.GREEDY: 80, Form.WHOLE: 40}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def load(chaos: Chaos) -> AsyncIterator[Clients]:
    """Behind Serve's door."""
    load = Clients(Asking(f"http://127.0.0.1:{chaos.serve_port}/v1", KEYS[0], "simulated", NUM_CLIENTS))
    await load.start()
    yield load
    await load.finish()


@pytest.mark.parametrize("fault", HAPROXY_FAULTS, ids=str)
async def test_a_fault_of_haproxy(chaos: Chaos, load: Clients, fault: Fault, counts: Counts) -> None:
    """A killed one cuts its connections, a frozen one only makes them wait; nothing is cut short in silence."""
    met = await strike(chaos, load, fault)
    judge(fault, met, counts)


async def test_nothing_is_left_of_haproxys_faults(chaos: Chaos, load: Clients) -> None:
    """Requests whose clients were cut off do not go on in the engines, and nobody counts them."""
    await load.finish()
    await assert_nothing_leaked(chaos)
