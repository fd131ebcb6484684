"""The house that faults are done to, and what must be left of it afterwards: all of it, and nothing else."""

import contextlib
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import house_processes as processes
import psutil
from engine_metrics import engine_metric
from house import House, open_house
from house_files import KEYS, KEYS_ENV, Json, free_port, model, router, serve_file
from prometheus_scrape import exported_name, scrape
from redis_server import RedisServer
from waiting import eventually, wait_for

from router.metrics import QUEUED, RUNNING

NUM_ROUTERS = 2
NUM_REPLICAS = 3
SIGNING_KEY_ENV = "CHAOS_SIGNING_KEY"

HAPROXY_MODE = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",  # else stopping takes half a minute
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",  # else a killed HAProxy is missed for half a minute
}
_HAPROXY_PORTS = (
    "RAY_SERVE_HAPROXY_METRICS_PORT",
    "RAY_SERVE_HAPROXY_STATS_PORT",
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT",
)


def _environment() -> dict[str, str]:
    """Of a house with Serve's HAProxy, keys, and a cache that is shared by Redis."""
    ports = {name: str(free_port()) for name in _HAPROXY_PORTS}
    return {**HAPROXY_MODE, **ports, KEYS_ENV: KEYS[0], SIGNING_KEY_ENV: "a secret for the tests' own entries"}


def _simulated_file(redis: RedisServer, serve_port: int) -> Json:
    """Two routers behind two doors, three simulated engines, and a Redis."""
    table = router(free_port(), {"simulated": ["default"]}, num_replicas=NUM_ROUTERS, api_keys={"env": KEYS_ENV})
    store = {"type": "redis", "address": redis.address, "signing_key_env": SIGNING_KEY_ENV}
    table["args"]["cache"] = {"store": store}
    table["deployments"][0]["graceful_shutdown_timeout_s"] = 150
    door: Json = {"proxy_location": "EveryNode", "http_options": {"host": "127.0.0.1", "port": serve_port}}
    replicas = model("simulated", num_replicas=NUM_REPLICAS, drain_timeout_s=120)
    replicas["deployments"][0]["graceful_shutdown_timeout_s"] = 150
    return {**serve_file(table, [replicas]), **door}


def _llama_cpp_file() -> Json:
    """Two routers, and llama.cpp twice."""
    table = router(free_port(), {"twins": []}, num_replicas=NUM_ROUTERS, api_keys={"env": KEYS_ENV})
    small: Json = {"engine": "llama_cpp", "max_num_seqs": 4, "num_threads": 1, "max_model_len": 256}
    return serve_file(table, [model("twins", num_replicas=2, **small)])


@dataclass(frozen=True, slots=True)
class Chaos:
    """A house, its Redis, and the port of Serve's door."""

    house: House
    redis: RedisServer | None = None
    serve_port: int = 0
    old_ports: dict[int, float] = field(default_factory=dict)
    """Of all engines that there ever were, with the last moment at which one may have had it, in Unix time."""

    def note_ports(self, ports: set[int]) -> None:
        """These were engines' ports before what has just happened."""
        self.old_ports.update(dict.fromkeys(ports, time.time()))

    def haproxies(self) -> list[psutil.Process]:
        found = []
        for process in self.house.family():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if process.name() == "haproxy" and processes.is_listening(process, self.serve_port):
                    found.append(process)
        return found


@contextlib.contextmanager
def simulated_chaos() -> Iterator[Chaos]:
    serve_port = free_port()
    with RedisServer() as redis, open_house(_simulated_file(redis, serve_port), _environment()) as house:
        chaos = Chaos(house, redis, serve_port)
        house.wait_whole()
        wait_for("HAProxy listens", chaos.haproxies)
        yield chaos


@contextlib.contextmanager
def llama_cpp_chaos() -> Iterator[Chaos]:
    with open_house(_llama_cpp_file(), {KEYS_ENV: KEYS[0]}) as house:
        house.wait_whole()
        yield Chaos(house)


async def assert_nothing_leaked(chaos: Chaos) -> None:
    """
    Of a house that is whole, and that nobody asks: no request is counted any more where it ran, no engine runs that is
    not one of the file's, and nobody listens on the ports of those that went: others to whom the kernel gives such a
    port are younger.
    """
    house = chaos.house
    engines = house.engines()
    assert sum(house.num_replicas.values()) == len(engines)
    for engine in engines:
        await eventually("the engine is idle", partial(_is_idle, engine))
    remaining = {engine.pid for engine in processes.engines(house.remains())}
    assert {engine.pid for engine in engines} == remaining, "an engine has outlived its replica"
    await eventually("the routers count nothing", partial(_is_nothing_running, house))
    assert [] == _left_behind(chaos.old_ports, engine_ports(house))


def _left_behind(old_ports: Mapping[int, float], living_ports: set[int]) -> list[str]:
    """Who listens on an old port and was there when its engine was."""
    found = []
    for socket_ in psutil.net_connections("tcp"):
        port = socket_.laddr.port if socket_.status == psutil.CONN_LISTEN else 0
        if port not in old_ports or port in living_ports or socket_.pid is None:
            continue
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(socket_.pid)
            if process.create_time() < old_ports[port]:
                found.append(f"{process} on {port}")
    return found


def _is_idle(engine: processes.EngineProcess) -> bool:
    is_simulated = engine.launch["model"] == "simulated"
    return engine_metric(engine, "vllm:num_requests_running" if is_simulated else "llamacpp:requests_processing") == 0


def _is_nothing_running(house: House) -> bool:
    return all(scrape(house).total(exported_name(metric)) == 0 for metric in (RUNNING, QUEUED))


def _is_listened_on(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def engine_ports(house: House) -> set[int]:
    return {int(str(engine.launch["port"])) for engine in house.engines()}


def assert_port_is_free(port: int) -> None:
    """Nobody listens on a port of a house that is gone."""
    wait_for(f"port {port} is free", lambda: not _is_listened_on(port))
