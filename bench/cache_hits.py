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
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import click

from bench.engines import running_engines
from bench.process_tree import read_processes
from bench.processes import Server, free_port, running
from bench.readiness import Address, wait_until_answering
from bench.scenarios import INTER_TOKEN_MS, MODEL, PROMPT_WORDS, Pace

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
def running_router(pace: Pace, cache: dict[str, Any] | None, folder: Path) -> Iterator[tuple[Server, str]]:
    """A router before two engines of that pace, and its base URL."""
    port = free_port()
    with running_engines(pace, "secret-of-engines", folder) as engines:
        environment = {**os.environ, "ENGINEHOUSE_BENCH_KEY": KEY, "BENCH_ENGINE_KEY": engines.secret}
        if cache is not None:
            environment |= {"BENCH_CACHE": json.dumps(cache), "CACHE_SIGNING_KEY": SIGNING_KEY}
        command = [sys.executable, "-m", "bench.bare_router", str(port), ",".join(map(str, engines.ports))]
        with running("router", command, environment, folder) as server:
            wait_until_answering(Address("127.0.0.1", (port,), KEY), [server], START_TIMEOUT_S)
            yield server, f"http://127.0.0.1:{port}"


async def cost_us(
    server: Server, url: str, seconds: float, *, stream: bool, is_made_anew: bool = False
) -> tuple[float, float, Counter[str]]:
    """Microseconds of the router's CPU for a request, requests a second, and what the cache did."""
    bodies = [body(number, stream=stream) for number in range(NUM_PROMPTS)]
    outcomes: Counter[str] = Counter()
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    if is_made_anew:
        headers["cache-control"] = "no-cache"
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=NUM_CLIENTS)) as session:

        async def ask(number: int) -> None:
            async with session.post(f"{url}/v1/chat/completions", data=bodies[number % NUM_PROMPTS]) as answer:
                await answer.read()
                answer.raise_for_status()
                outcomes[answer.headers.get("x-enginehouse-cache", "none")] += 1

        async def client(first: int) -> None:
            number = first
            while time.monotonic() < deadline:
                await ask(number)
                number += NUM_CLIENTS

        deadline = float("inf")
        for first in range(0, NUM_PROMPTS, NUM_CLIENTS):
            await asyncio.gather(*(ask(first + offset) for offset in range(NUM_CLIENTS)))
        outcomes.clear()
        before, began = read_processes()[server.pid].cpu_s, time.monotonic()
        deadline = began + seconds
        await asyncio.gather(*(client(number) for number in range(NUM_CLIENTS)))
        spent_s, elapsed_s = read_processes()[server.pid].cpu_s - before, time.monotonic() - began
    return spent_s / outcomes.total() * 1e6, outcomes.total() / elapsed_s, outcomes


async def follow(url: str) -> tuple[float, float, Counter[str]]:
    """Seconds until the leader, and until the slowest follower, has all of a stream; and what the cache did."""
    outcomes: Counter[str] = Counter()
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    request = body(10**6, stream=True, simulated={"num_tokens": 100})
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask() -> tuple[str, float]:
            async with session.post(f"{url}/v1/chat/completions", data=request) as answer:
                outcome = answer.headers["x-enginehouse-cache"]
                await answer.read()
                outcomes[outcome] += 1
                return outcome, time.monotonic() - began

        began = time.monotonic()
        ended = await asyncio.gather(*(ask() for _ in range(NUM_FOLLOWERS)))
    leader = next(seconds for outcome, seconds in ended if outcome == "miss")
    return leader, max(seconds for _, seconds in ended), outcomes


async def measure(redis: str | None, seconds: float, folder: Path) -> None:
    memory = {"store": {"type": "memory"}}
    cases: list[tuple[str, dict[str, Any] | None, bool]] = [
        ("generated, nothing kept", None, False),
        ("generated and kept in memory", memory, True),
        ("from memory", memory, False),
    ]
    if redis:
        store = {"type": "redis", "address": redis, "signing_key_env": "CACHE_SIGNING_KEY", "lookup_budget_ms": 1000}
        cases.append(("from Redis", {"store": store}, False))
    for title, cache, is_made_anew in cases:
        for stream in (False, True):
            with running_router(Pace.BURST, cache, folder) as (server, url):
                cost, rate, outcomes = await cost_us(server, url, seconds, stream=stream, is_made_anew=is_made_anew)
            form = "streamed" if stream else "whole"
            click.echo(
                f"{title}, {form}: {cost:.0f} us of router CPU a request, {rate:.0f} requests/s, {dict(outcomes)}"
            )
    with running_router(Pace.PACED, memory, folder) as (_, url):
        leader, slowest, outcomes = await follow(url)
    click.echo(
        f"{NUM_FOLLOWERS} identical streams of 100 tokens, {INTER_TOKEN_MS:g} ms apart: {dict(outcomes)}; the "
        f"leader has all after {leader:.3f} s, the slowest follower after {slowest:.3f} s, {slowest / leader - 1:+.1%}"
    )


@click.command()
@click.option("--redis", help="HOST:PORT, or the path of the socket, of a Redis that may be filled. Default: none.")
@click.option("--seconds", default=8.0, show_default=True, help="Length of each measurement.")
def main(redis: str | None, seconds: float) -> None:
    """Measure the router's cost of answers that are made, kept and shared."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        asyncio.run(measure(redis, seconds, Path(folder)))


if __name__ == "__main__":
    main()
