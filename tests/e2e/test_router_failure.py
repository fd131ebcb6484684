"""A router that dies: the node's other router and its streams are untouched, and a new one comes."""

import asyncio
from dataclasses import dataclass

import aiohttp
import house_processes
from house import House
from house_files import KEYS
from streaming_load import PROMPT, Pace, sdk, whole
from waiting import DEADLINE_S, eventually

NUM_STREAMS = 16
PACE = Pace(150, token_ms=100)
"""Longer than all that is looked up meanwhile."""


@dataclass(slots=True)
class OpenStream:
    """A stream on a connection of its own, whose port tells which router has it."""

    client_port: int = 0
    body: bytes = b""
    is_broken: bool = False

    async def run(self, house: House) -> None:
        request = {"model": "simulated", "prompt": PROMPT, "stream": True, **PACE.extra_body}
        headers = {"authorization": f"Bearer {KEYS[0]}"}
        connector = aiohttp.TCPConnector(force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector, headers=headers) as session,
            session.post(f"{house.base_url}/completions", json=request) as answer,
        ):
            assert answer.connection is not None
            assert answer.connection.transport is not None
            self.client_port = answer.connection.transport.get_extra_info("sockname")[1]
            try:
                async for part in answer.content.iter_any():
                    self.body += part
            except (aiohttp.ClientPayloadError, ConnectionResetError):
                self.is_broken = True

    @property
    def is_whole(self) -> bool:
        has_all = self.body.count(b'"text"') == PACE.num_tokens and self.body.endswith(b"data: [DONE]\n\n")
        return has_all and not self.is_broken


async def test_a_killed_router(pair: House) -> None:
    """SIGKILL of one of two routers: streams of the other end whole, new clients are served, the router comes back."""
    victim, survivor = pair.routers()
    streams = [OpenStream() for _ in range(NUM_STREAMS)]
    async with asyncio.TaskGroup() as tasks:
        for stream in streams:
            tasks.create_task(stream.run(pair))
        await eventually("every stream has begun", lambda: all(stream.body for stream in streams))
        ports = {router.pid: house_processes.clients(router, pair.port) for router in (victim, survivor)}
        victim.kill()
        await asyncio.to_thread(victim.wait, DEADLINE_S)
        async with asyncio.TaskGroup() as newcomers:
            answers = [newcomers.create_task(_ask_once(pair)) for _ in range(20)]
    lost = [stream for stream in streams if stream.client_port in ports[victim.pid]]
    kept = [stream for stream in streams if stream.client_port in ports[survivor.pid]]
    assert NUM_STREAMS == len(lost) + len(kept)
    assert lost, "the kernel gave every stream to one router"
    assert kept, "the kernel gave every stream to one router"
    assert [True] * len(kept) == [stream.is_whole for stream in kept]
    assert [True] * len(lost) == [stream.is_broken for stream in lost]
    assert [True] * 20 == [answer.result() for answer in answers]
    pair.wait_whole()
    routers = {router.pid for router in pair.routers()}
    assert (True, False) == (survivor.pid in routers, victim.pid in routers)


async def _ask_once(house: House) -> bool:
    async with sdk(house) as client:
        return (await whole(client, Pace(3))).is_whole
