"""
What a kept answer costs, and what sharing one saves: `python -m bench.cache_hits`.

One router without Ray, two simulated engines, and clients in this process, whose CPU is not counted. In one run:
requests that are generated, the same from memory, the same from Redis, and many that are the same at the same moment.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import click
from rich.console import Console

from bench.contenders import ROUTER, LiteLlm, Started, trees
from bench.engines import running_engines
from bench.process_tree import cpu_s, read_processes
from bench.processes import free_port, running
from bench.readiness import Address, wait_until_answering
from bench.scenarios import MODEL, PROMPT_WORDS, Pace

KEY = "key-of-the-bench"
NUM_CLIENTS = 32
NUM_PROMPTS = 256
NUM_TOKENS = 200
"""Of each answer: about 1 kB of text."""
NUM_FOLLOWERS = 100
SIGNING_KEY = "the bench's own signing key"
START_TIMEOUT_S = 30.0


def body(number: int, **fields: object) -> bytes:
    prompt = f"Prompt {number}. " + "lorem " * PROMPT_WORDS
    messages = [{"role": "user", "content": prompt}]
    document = {"model": MODEL, "messages": messages, "temperature": 0, "simulated": {"num_tokens": NUM_TOKENS}}
    document |= fields
    return json.dumps(document).encode()


@contextmanager
def running_router(pace: Pace, cache: dict[str, Any] | None, folder: Path) -> Iterator[Started]:
    """A router before two engines of that pace."""
    port = free_port()
    with running_engines(pace, "secret-of-engines", folder) as engines:
        environment = {**os.environ, "ENGINEHOUSE_BENCH_KEY": KEY, "BENCH_ENGINE_KEY": engines.secret}
        if cache is not None:
            environment |= {"BENCH_CACHE": json.dumps(cache), "CACHE_SIGNING_KEY": SIGNING_KEY}
        command = [sys.executable, "-m", "bench.bare_router", str(port), ",".join(map(str, engines.ports))]
        with running("router", command, environment, folder) as server:
            address = Address("127.0.0.1", (port,), KEY)
            wait_until_answering(address, [server], START_TIMEOUT_S)
            yield Started(address, {ROUTER: trees(server)})


def _spent_s(started: Started) -> float:
    table = read_processes()
    return cpu_s(table, started.groups[ROUTER](table))


def _session(started: Started, **headers: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        f"http://{started.address.host}:{started.address.ports[0]}",
        headers={"authorization": f"Bearer {started.address.key}", "content-type": "application/json", **headers},
        connector=aiohttp.TCPConnector(limit=0),
    )


async def cost_us(
    started: Started, seconds: float, *, stream: bool, is_made_anew: bool = False
) -> tuple[float, float, Counter[str]]:
    """Microseconds of the router's CPU for a request, requests a second, and what the cache did."""
    bodies = [body(number, stream=stream) for number in range(NUM_PROMPTS)]
    outcomes: Counter[str] = Counter()
    async with _session(started, **({"cache-control": "no-cache"} if is_made_anew else {})) as session:

        async def ask(number: int) -> None:
            async with session.post("/v1/chat/completions", data=bodies[number % NUM_PROMPTS]) as answer:
                await answer.read()
                answer.raise_for_status()
                told = "hit" if "x-litellm-cache-key" in answer.headers else "not told"
                outcomes[answer.headers.get("x-enginehouse-cache", told)] += 1

        async def client(first: int) -> None:
            number = first
            while time.monotonic() < deadline:
                await ask(number)
                number += NUM_CLIENTS

        for first in range(0, NUM_PROMPTS, NUM_CLIENTS):
            await asyncio.gather(*(ask(first + offset) for offset in range(NUM_CLIENTS)))
        outcomes.clear()
        before, began = _spent_s(started), time.monotonic()
        deadline = began + seconds
        await asyncio.gather(*(client(number) for number in range(NUM_CLIENTS)))
        spent_s, elapsed_s = _spent_s(started) - before, time.monotonic() - began
    return spent_s / outcomes.total() * 1e6, outcomes.total() / elapsed_s, outcomes


async def follow(started: Started) -> tuple[float, float, Counter[str]]:
    """Seconds until the leader, and until the slowest follower, has all of a stream; and what the cache did."""
    outcomes: Counter[str] = Counter()
    request = body(10**6, stream=True, simulated={"num_tokens": 100})
    async with _session(started) as session:

        async def ask() -> tuple[str, float]:
            async with session.post("/v1/chat/completions", data=request) as answer:
                outcome = answer.headers["x-enginehouse-cache"]
                await answer.read()
                outcomes[outcome] += 1
                return outcome, time.monotonic() - began

        began = time.monotonic()
        ended = await asyncio.gather(*(ask() for _ in range(NUM_FOLLOWERS)))
    leader = next(seconds for outcome, seconds in ended if outcome == "miss")
    return leader, max(seconds for _, seconds in ended), outcomes


async def measure(redis: tuple[str, int] | None, seconds: float, folder: Path) -> None:
    memory = {"store": {"type": "memory"}}
    cases: list[tuple[str, AbstractContextManager[Started], bool]] = [
        ("generated, nothing kept", running_router(Pace.BURST, None, folder), False),
        ("generated and kept in memory", running_router(Pace.BURST, memory, folder), True),
        ("from memory", running_router(Pace.BURST, memory, folder), False),
    ]
    if redis:
        store = {"type": "redis", "address": f"{redis[0]}:{redis[1]}", "signing_key_env": "CACHE_SIGNING_KEY"}
        cache = {"store": {**store, "lookup_budget_ms": 1000}}
        peer = LiteLlm(redis=redis)
        peer.install(Console(stderr=True))
        cases.append(("from Redis", running_router(Pace.BURST, cache, folder), False))
        cases.append((f"{peer.title}, from Redis", peer.start(Pace.BURST, folder), False))
    for title, starting, is_made_anew in cases:
        with starting as started:
            for stream in (False, True):
                cost, rate, outcomes = await cost_us(started, seconds, stream=stream, is_made_anew=is_made_anew)
                form = "streamed" if stream else "whole"
                click.echo(f"{title}, {form}: {cost:.0f} us of CPU a request, {rate:.0f} requests/s, {dict(outcomes)}")
    with running_router(Pace.PACED, memory, folder) as started:
        leader, slowest, outcomes = await follow(started)
    click.echo(
        f"{NUM_FOLLOWERS} identical streams of 100 tokens, {Pace.PACED.inter_token_ms:g} ms apart: {dict(outcomes)}; "
        f"the leader has all after {leader:.3f} s, the slowest follower after {slowest:.3f} s,"
        f" {slowest / leader - 1:+.1%}"
    )


@click.command()
@click.option("--redis", help="HOST:PORT of a Redis that may be filled, for Redis and for LiteLLM. Default: none.")
@click.option("--seconds", default=8.0, show_default=True, help="Length of each measurement.")
def main(redis: str | None, seconds: float) -> None:
    """Measure the router's cost of answers that are made, kept and shared."""
    host, _, port = (redis or "").rpartition(":")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        asyncio.run(measure((host, int(port)) if redis else None, seconds, Path(folder)))


if __name__ == "__main__":
    main()
