"""A cluster of several nodes: who runs where, what happens when a node dies, and what a model without a node says."""

from collections.abc import Iterator
from time import monotonic

import pytest
from house_files import free_port, model, router, serve_file
from machines import Machines, NodeShape, has_gpus, open_machines
from streaming_load import Pace, load, sdk, whole
from waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIRST, SECOND = "127.0.0.2", "127.0.0.3"
GPU_NODE = NodeShape(num_cpus=4, num_gpus=2, labels="engine=simulated")
PORT = free_port()
OPTIONS = {"num_cpus": 0.1, "num_gpus": 1, "label_selector": {"engine": "simulated"}}


def two_nodes_file() -> dict[str, object]:
    """A router on each of two nodes; a model with a replica on each, since one takes two of a node's GPUs."""
    table = router(PORT, {"simulated": []}, num_replicas=2)
    table["deployments"][0]["max_replicas_per_node"] = 1
    application = model("simulated", num_replicas=2)
    application["deployments"][0]["ray_actor_options"] = {**OPTIONS, "num_gpus": 2}
    return serve_file(table, [application])


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    with open_machines({FIRST: GPU_NODE, SECOND: GPU_NODE}) as opened:
        served = opened.serve(two_nodes_file())
        assert served.returncode == 0, served.stdout + served.stderr
        yield opened


async def test_replicas_are_where_their_gpus_are(machines: Machines) -> None:
    """Engines and routers on both nodes with GPUs, none on the head; each engine sees the GPUs of its replica."""
    assert ([FIRST, SECOND], [FIRST, SECOND]) == (
        machines.replica_hosts("simulated"),
        machines.replica_hosts("router"),
    )
    engines = machines.engines("simulated")
    assert [["0", "1"]] * 2 == [has_gpus(engine) for engine in engines]
    assert {FIRST, SECOND} == {engine.launch["host"] for engine in engines}


async def test_the_death_of_a_node_costs_its_own_streams_only(machines: Machines) -> None:
    """
    Power is cut while clients ask. What the dead node was answering is broken honestly; from the moment at which the
    cluster knows, nothing fails any more, on one router and one replica. A new node makes it whole again.
    """
    async with load(machines, num_clients=4, pace=Pace(40, token_ms=50)) as account:
        await eventually("requests are answered", lambda: len(account.outcomes) > 20)
        machines.kill(SECOND)
        await eventually("Serve knows", lambda: machines.replica_hosts("simulated") == [FIRST])
        await eventually("the router knows", lambda: machines.ready_replicas() == {"simulated": 1})
        known_at = monotonic()
        num_before = len(account.outcomes)
        await eventually("more requests are answered", lambda: len(account.outcomes) > num_before + 60)
        machines.add({SECOND: GPU_NODE})
        await eventually("there are two again", lambda: machines.replica_hosts("simulated") == [FIRST, SECOND])
    assert [] == [outcome for outcome in account.failures if outcome.asked_at > known_at]
    assert all(outcome.error is not None for outcome in account.failures)


async def test_a_model_without_a_node_says_what_is_missing(machines: Machines) -> None:
    """`enginehouse serve` names the label that no node has, and gives up at its timeout; the others go on."""
    file = two_nodes_file()
    lost = model("lost")
    lost["deployments"][0]["ray_actor_options"] = {**OPTIONS, "label_selector": {"engine": "elsewhere"}}
    file["applications"] = [*file["applications"], lost]  # type: ignore[misc]
    file["applications"][0]["deployments"][0]["user_config"]["models"]["lost"] = {"application": "lost"}  # type: ignore[index]
    served = machines.serve(file, "--timeout", "40")
    assert 1 == served.returncode
    assert "lost (waiting for a place: no node has the label engine=elsewhere)" in served.stderr
    async with sdk(machines) as client:
        assert (await whole(client, Pace(3))).is_whole
