"""What is done to a house. Each returns when it was done: whether the house gets over it is the test's question."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import house_processes as processes
import psutil
from chaos_house import Chaos
from house_files import KEYS, Json, models_of, router_of
from ledger import BROKEN_CONNECTION, EXPLICIT, Ending, Entry
from raw_http import ask, request
from waiting import eventually

STOPPED_S = 3.0
"""How long a process stands still, in seconds. That it does is the fault: nothing is waited for."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something bad, done by `strike`. `breaks_connections`: it takes away who the clients are connected with."""

    name: str
    strike: Callable[[Chaos], Awaitable[None]]
    breaks_connections: bool = False
    is_only_door: bool = False
    """Whether there is nobody else to connect with: meanwhile nothing is answered at all."""

    def allows(self, entry: Entry) -> bool:
        """Whether a request may have ended so. An engine that dies fails nobody: its streams go on elsewhere."""
        if entry.ending in BROKEN_CONNECTION or (self.is_only_door and entry.ending in EXPLICIT):
            return self.breaks_connections
        return entry.ending is Ending.COMPLETE

    def __str__(self) -> str:
        return self.name


async def _freeze(process: psutil.Process) -> None:
    process.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(STOPPED_S)
    finally:
        process.send_signal(signal.SIGCONT)


async def _gone(process: psutil.Process) -> None:
    await eventually(f"process {process.pid} is gone", lambda: not processes.alive([process]))


async def kill_engine(chaos: Chaos) -> None:
    victim = chaos.house.engines()[0].process
    victim.kill()
    await _gone(victim)


async def end_engine_only(chaos: Chaos) -> None:
    """Its server lives on for some seconds, as vLLM's does, and answers with 500 whatever it is asked."""
    victim = chaos.house.engines()[0]
    launch = victim.launch
    deadly = {"messages": [{"role": "user", "content": "die"}], "simulated": {"dead_after_tokens": 0}}
    headers = {"authorization": f"Bearer {launch['secret']}"}
    address = f"http://{launch['host']}:{launch['port']}/v1/chat/completions"
    async with aiohttp.request("POST", address, json=deadly, headers=headers) as answer:
        assert answer.status == 500
    await _gone(victim.process)


async def freeze_engine(chaos: Chaos) -> None:
    await _freeze(chaos.house.engines()[0].process)


async def kill_replica(chaos: Chaos) -> None:
    """Its engine ends a moment later, and takes requests until then."""
    victim = chaos.house.engines()[0]
    chaos.house.owner_of(victim).kill()
    await _gone(victim.process)


async def freeze_replica(chaos: Chaos) -> None:
    await _freeze(chaos.house.owner_of(chaos.house.engines()[0]))


async def kill_router(chaos: Chaos) -> None:
    victim = chaos.house.routers()[0]
    victim.kill()
    await _gone(victim)


async def freeze_router(chaos: Chaos) -> None:
    await _freeze(chaos.house.routers()[0])


async def kill_redis(chaos: Chaos) -> None:
    assert chaos.redis is not None
    chaos.redis.kill()
    await asyncio.sleep(STOPPED_S)
    await asyncio.to_thread(chaos.redis.start)


async def freeze_redis(chaos: Chaos) -> None:
    assert chaos.redis is not None
    chaos.redis.signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(STOPPED_S)
    finally:
        chaos.redis.signal(signal.SIGCONT)


async def kill_haproxy(chaos: Chaos) -> None:
    """Serve's proxy actor notices, and starts another."""
    victim = chaos.haproxies()[0]
    victim.kill()
    await _gone(victim)
    await eventually("there is another", chaos.haproxies)


async def freeze_haproxy(chaos: Chaos) -> None:
    await _freeze(chaos.haproxies()[0])


async def update_model(chaos: Chaos) -> None:
    """New `args` of the model: all its replicas are replaced."""
    house = chaos.house
    before = {engine.pid for engine in house.engines()}
    seqs = models_of(house.config)[0]["args"].get("max_num_seqs", 256)

    def change(file: Json) -> None:
        models_of(file)[0]["args"]["max_num_seqs"] = seqs + 1

    await asyncio.to_thread(house.redeploy, change)

    def are_new() -> bool:
        now = {engine.pid for engine in house.engines()}
        return not now & before and len(now) == len(before)

    await eventually("every replica is new", are_new)


async def reload_table(chaos: Chaos) -> None:
    """A new model table: five times, each once the one before is in force, so that requests meet the change itself."""
    house = chaos.house
    for number in range(5):

        def change(file: Json, number: int = number) -> None:
            table = router_of(file)["deployments"][0]["user_config"]
            table["models"]["simulated"]["aliases"] = ["default", f"alias-{number}"]

        await asyncio.to_thread(house.redeploy, change)
        card = request("GET", f"/v1/models/alias-{number}", authorization=f"Bearer {KEYS[0]}")
        await eventually("it is in force", lambda card=card: ask(house.port, card).status == 200)  # type: ignore[misc]


FAULTS = (
    Fault("kill engine", kill_engine),
    Fault("end engine, not its server", end_engine_only),
    Fault("freeze engine", freeze_engine),
    Fault("kill replica", kill_replica),
    Fault("freeze replica", freeze_replica),
    Fault("kill router", kill_router, breaks_connections=True),
    Fault("freeze router", freeze_router),
    Fault("kill redis", kill_redis),
    Fault("freeze redis", freeze_redis),
    Fault("update model", update_model),
    Fault("reload table", reload_table),
)
HAPROXY_FAULTS = (
    Fault("kill haproxy", kill_haproxy, breaks_connections=True, is_only_door=True),
    Fault("freeze haproxy", freeze_haproxy),
)
LLAMA_CPP_FAULTS = tuple(fault for fault in FAULTS if fault.name.endswith(("engine", "replica")))
