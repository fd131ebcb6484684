"""Redis behind Sentinels, and Redis Cluster, each of real processes on loopback."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from cached import OpenStore, eventually, found, keep, key
from redis_server import RedisServer, free_port, make_cluster, move_slots, wait_for

from cache.entry import Entry
from cache.store import Store

BREAKER = {"max_failures": 3, "first_retry_ms": 50, "max_retry_ms": 200}


class Replicated:
    """A master `first`, its replica `second`, and a Sentinel that asks for a password."""

    def __init__(self, first: RedisServer, second: RedisServer, sentinel: RedisServer) -> None:
        self.first = first
        self.second = second
        self.sentinel = sentinel

    def master_port(self) -> int:
        """Whom the Sentinel names."""
        with self.sentinel.client(password="opensesame") as client:
            return int(client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "house")[1])

    def is_second_a_replica(self) -> bool:
        """As far as the Sentinel knows, without which there is no failover."""
        with self.sentinel.client(password="opensesame") as client:
            text = str(client.execute_command("SENTINEL", "REPLICAS", "house"))
        return f"{self.second.port}" in text and self.second.ask("INFO")["master_link_status"] == "up"


@pytest.fixture
def replicated() -> Iterator[Replicated]:
    with ExitStack() as servers:
        first = servers.enter_context(RedisServer(port=free_port()))
        second = servers.enter_context(RedisServer("--replicaof", "127.0.0.1", str(first.port), port=free_port()))
        port = free_port()
        sentinel = RedisServer("sentinel.conf", port=port, program="redis-sentinel")
        (sentinel.folder / "sentinel.conf").write_text(
            f"port {port}\nbind 127.0.0.1\nrequirepass opensesame\n"
            f"sentinel monitor house 127.0.0.1 {first.port} 1\n"
            "sentinel down-after-milliseconds house 300\nsentinel failover-timeout house 3000\n"
        )
        servers.enter_context(sentinel)
        house = Replicated(first, second, sentinel)
        wait_for("the Sentinel knows the replica", house.is_second_a_replica)
        yield house


async def test_a_failover_is_followed(
    replicated: Replicated, open_redis_store: OpenStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The master is killed; its replica, which has the entries, is found through the Sentinel."""
    nobody = f"127.0.0.1:{free_port()}"
    store = open_redis_store(
        sentinel={
            "addresses": [nobody, replicated.sentinel.address],
            "service": "house",
            "password_env": "REDIS_PASSWORD",
        },
        breaker=BREAKER,
    )
    await keep(store, key("a"))
    wait_for("the replica has it", lambda: replicated.second.ask("DBSIZE") == replicated.first.ask("DBSIZE"))
    replicated.first.kill()
    entry = await eventually("the replica is found", lambda: store.get(key("a")))
    await keep(store, key("b"))
    assert (b"yes", replicated.second.port) == (entry.payload, replicated.master_port())
    assert [] == [line for line in caplog.messages if " is away " not in line and " is back " not in line]


@pytest.fixture
def cluster() -> Iterator[list[RedisServer]]:
    """Three masters."""
    with ExitStack() as servers:
        options = (
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "1000",
            "--cluster-require-full-coverage",
            "no",
        )
        nodes = [servers.enter_context(RedisServer(*options, port=free_port())) for _ in range(3)]
        make_cluster(nodes)
        yield nodes


@pytest.fixture
def cluster_store(cluster: list[RedisServer], open_redis_store: OpenStore) -> Store:
    """Knows two of the nodes, and a third that is not there."""
    addresses = [f"127.0.0.1:{free_port()}", cluster[0].address, cluster[1].address]
    return open_redis_store(cluster=addresses, breaker=BREAKER)


async def test_a_cluster_holds_entries_on_all_its_nodes(cluster: list[RedisServer], cluster_store: Store) -> None:
    """And purges them there."""
    keys = [key(number, "acme") for number in range(100)]
    for place in keys:
        await cluster_store.put(place, Entry.now(place.digest, 60))
    await eventually("all are written", lambda: _holds(cluster_store, 100))
    entries = await asyncio.gather(*(cluster_store.get(place) for place in keys))
    sizes = [node.ask("DBSIZE") for node in cluster]
    assert [place.digest for place in keys] == [entry and entry.payload for entry in entries]
    assert (True, 100) == (min(sizes) > 0, await cluster_store.purge("acme"))
    assert [False] * 100 == await found(cluster_store, *keys)


async def _holds(store: Store, entries: int) -> bool:
    return (await store.stats()).entries == entries


async def test_a_node_that_hangs_holds_up_nobody_else(cluster: list[RedisServer], open_redis_store: OpenStore) -> None:
    """Look-ups at the other nodes are answered in the meantime."""
    store = open_redis_store(cluster=[cluster[0].address], breaker={"max_failures": 1000})
    keys = [key(number) for number in range(30)]
    await keep(store, *keys)
    cluster[2].signal(signal.SIGSTOP)
    lookups = [asyncio.create_task(store.get(place)) for place in keys]
    done, waiting = await asyncio.wait(lookups, return_when=asyncio.FIRST_COMPLETED)
    cluster[2].signal(signal.SIGCONT)
    entries = [task.result() for task in done]
    await asyncio.gather(*waiting)
    assert (True, True, False) == (len(done) > 0, len(waiting) > 0, None in entries)


async def test_entries_are_found_where_slots_have_moved(cluster: list[RedisServer], cluster_store: Store) -> None:
    """A node that has given its slots away says to whom, and is believed."""
    keys = [key(number) for number in range(100)]
    await keep(cluster_store, *keys)
    before = cluster[0].ask("DBSIZE")
    move_slots(cluster[0], cluster[1], 5461)
    everywhere = await found(cluster_store, *keys)
    await keep(cluster_store, *(key(number) for number in range(100, 200)))
    assert (True, 0, [True] * 100) == (before > 0, cluster[0].ask("DBSIZE"), everywhere)


async def test_a_cluster_without_one_of_its_nodes_serves_from_the_others(
    cluster: list[RedisServer], open_redis_store: OpenStore
) -> None:
    """What was on the lost node is missed, without an exception, until it is back."""
    store = open_redis_store(cluster=[cluster[0].address], breaker={"max_failures": 1000})
    keys = [key(number) for number in range(60)]
    await keep(store, *keys)
    cluster[2].kill()
    without_it = await found(store, *keys)
    cluster[2].start()

    async def are_all_found() -> bool:
        await asyncio.gather(*(store.put(place, Entry.now(b"yes", 60)) for place in keys))
        return all(await found(store, *keys))

    await eventually("all are found", are_all_found)
    assert {True, False} == set(without_it)
