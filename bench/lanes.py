"""
What the router's queue and its lane for completion are worth: `python -m bench.lanes`.

One router without Ray before simulated engines that read one prompt at a time. Three parts, each with and without, in
windows that take turns in one run:

- completions beside chats with long prompts. Without the lane, they come without a `suffix`, which makes them plain
  text completions; to the engine they are the same.
- a typist whose editor leaves its old requests open, as behind a proxy that does not pass on that a client has left.
  Again with and without a `suffix`.
- chats while other requests fill the engines and the queue, which are `background` or not.
"""

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import click

from bench.processes import free_port, running
from bench.readiness import Address, wait_until_answering
from bench.scenarios import MODEL
from configs.engine import SimulatedSettings
from deployments.engines import prometheus_text
from deployments.engines.contract import EngineAddress
from deployments.engines.simulated.engine import SimulatedEngine

KEY, SECRET = "key-of-the-bench", "secret-of-engines"
NUM_ENGINES = 4
NUM_SLOTS = 8
START_TIMEOUT_S = 30.0
SETTINGS = SimulatedSettings(
    engine="simulated", model=MODEL, max_num_seqs=NUM_SLOTS, max_prefills=1,
    prefill_base_ms=15.0, prefill_tokens_per_s=20_000.0, inter_token_ms=10.0,
)  # fmt: skip

NUM_CHATS = 4
CHAT_CHARS = 70_000
"""About 18,000 tokens: an agent's first prompt, read in 0.9 s."""
CHAT_TOKENS = 60
CHAT_PAUSE_S = 3.0
NUM_TYPISTS = 6
FILE_CHARS = 3000
COMPLETION_TOKENS = 16
COMPLETION_PAUSE_S = 0.3
NUM_KEYS = 100
KEY_S = 0.12
TYPED_TOKENS = 64
NUM_BACKGROUND = 120
BACKGROUND_TOKENS = 100


@dataclass(slots=True)
class Seen:
    ttft_ms: list[float] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)

    def told(self) -> str:
        ordered = sorted(self.ttft_ms)
        median = statistics.median(ordered)
        return (
            f"{len(ordered)} answered, {len(self.refused)} not, TTFT median {median:.0f} ms, p90 "
            f"{self.quantile(0.9):.0f}, p99 {self.quantile(0.99):.0f}, worst {ordered[-1]:.0f}"
        )

    def quantile(self, ratio: float) -> float:
        return sorted(self.ttft_ms)[min(len(self.ttft_ms) - 1, int(ratio * len(self.ttft_ms)))]


@dataclass(slots=True, frozen=True)
class House:
    session: aiohttp.ClientSession
    engine_ports: Sequence[int]

    async def ask(self, path: str, body: dict[str, object], seen: Seen, priority: str = "interactive") -> None:
        """One stream, read to its end."""
        began, first, content = time.monotonic(), None, b""
        headers = {"x-enginehouse-priority": priority}
        async with self.session.post(path, json={"model": MODEL, "stream": True, **body}, headers=headers) as answer:
            async for part in answer.content.iter_any():
                content += part
                if first is None and b"data: " in content:
                    first = time.monotonic()
        if answer.status != 200 or first is None or b"[DONE]" not in content:
            seen.refused.append(answer.status)
        else:
            seen.ttft_ms.append((first - began) * 1000)

    async def chat(self, seen: Seen, num_chars: int, num_tokens: int, priority: str = "interactive") -> None:
        body: dict[str, object] = {
            "messages": [{"role": "user", "content": text(num_chars)}],
            "simulated": {"num_tokens": num_tokens},
        }
        await self.ask("/v1/chat/completions", body, seen, priority)

    async def complete(self, seen: Seen, prompt: str, num_tokens: int, *, in_lane: bool) -> None:
        body: dict[str, object] = {"prompt": prompt, "simulated": {"num_tokens": num_tokens}}
        await self.ask("/v1/completions", {**body, "suffix": "\n"} if in_lane else body, seen)

    async def num_tokens(self) -> tuple[float, float]:
        """Prompt and completion tokens of all engines since they began."""
        totals = [0.0, 0.0]
        for port in self.engine_ports:
            headers = {"authorization": f"Bearer {SECRET}"}
            async with self.session.get(f"http://127.0.0.1:{port}/metrics", headers=headers) as answer:
                values = prometheus_text.samples(await answer.text())
            for index, name in enumerate(("vllm:prompt_tokens_total", "vllm:generation_tokens_total")):
                totals[index] += values[name]
        return totals[0], totals[1]


def text(num_chars: int) -> str:
    """One that no other begins like."""
    return f"{random.random()} " + "words and more words " * (num_chars // 21)


@contextmanager
def running_house(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """The router's address, and the engines' ports."""
    ports, port = [free_port() for _ in range(NUM_ENGINES)], free_port()
    with ExitStack() as stack:
        servers = []
        for number, engine_port in enumerate(ports):
            command = SimulatedEngine(SETTINGS).command(EngineAddress("127.0.0.1", engine_port, SECRET))
            server = running(f"engine-{number}", command.argv, command.environment, folder)
            servers.append(stack.enter_context(server))
        wait_until_answering(Address("127.0.0.1", tuple(ports), SECRET), servers, START_TIMEOUT_S)
        environment = {**os.environ, "ENGINEHOUSE_BENCH_KEY": KEY, "BENCH_ENGINE_KEY": SECRET}
        environment["BENCH_MAX_NUM_SEQS"] = str(NUM_SLOTS)
        argv = [sys.executable, "-m", "bench.bare_router", str(port), ",".join(map(str, ports))]
        router = stack.enter_context(running("router", argv, environment, folder))
        wait_until_answering(Address("127.0.0.1", (port,), KEY), [router], START_TIMEOUT_S)
        yield f"http://127.0.0.1:{port}", ports


async def beside_chats(house: House, seconds: float, completions: Seen, chats: Seen, *, in_lane: bool) -> None:
    deadline = time.monotonic() + seconds

    async def agent() -> None:
        while time.monotonic() < deadline:
            await asyncio.sleep(random.uniform(0, CHAT_PAUSE_S))
            await house.chat(chats, CHAT_CHARS, CHAT_TOKENS)

    async def typist() -> None:
        file = text(FILE_CHARS)
        while time.monotonic() < deadline:
            file += "x = 1\n"
            await house.complete(completions, file, COMPLETION_TOKENS, in_lane=in_lane)
            await asyncio.sleep(random.uniform(0, COMPLETION_PAUSE_S))

    await asyncio.gather(*(agent() for _ in range(NUM_CHATS)), *(typist() for _ in range(NUM_TYPISTS)))


async def type_on(house: House, *, in_lane: bool) -> tuple[float, float]:
    """Prompt and completion tokens that it cost the engines."""
    before = await house.num_tokens()
    file, seen = text(FILE_CHARS), Seen()
    tasks = []
    for _ in range(NUM_KEYS):
        file += "x"
        tasks.append(asyncio.create_task(house.complete(seen, file, TYPED_TOKENS, in_lane=in_lane)))
        await asyncio.sleep(KEY_S)
    await asyncio.gather(*tasks)
    after = await house.num_tokens()
    return after[0] - before[0], after[1] - before[1]


async def among_others(house: House, chats: Seen, others: Seen, priority: str) -> None:
    """Requests that fill the engines' slots and the queue, and chats that come one after another meanwhile."""
    filling = [asyncio.create_task(house.chat(others, 100, BACKGROUND_TOKENS, priority)) for _ in range(NUM_BACKGROUND)]
    await asyncio.sleep(0.2)
    while not all(task.done() for task in filling):
        await house.chat(chats, 100, 1)
        await asyncio.sleep(0.05)
    await asyncio.gather(*filling)


async def measure(address: str, ports: Sequence[int], seconds: float, rounds: int) -> None:
    timeout, connector = aiohttp.ClientTimeout(total=300), aiohttp.TCPConnector(limit=0)
    headers = {"authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(address, headers=headers, connector=connector, timeout=timeout) as session:
        house = House(session, ports)
        ways = {False: (Seen(), Seen()), True: (Seen(), Seen())}
        for _ in range(rounds):
            for in_lane, seen in ways.items():
                await beside_chats(house, seconds, *seen, in_lane=in_lane)
        for in_lane, (completions, chats) in ways.items():
            name = "with the lane" if in_lane else "without the lane"
            click.echo(f"{name}: completions: {completions.told()}")
            click.echo(f"{name}: chats: {chats.told()}")
        ratio = ways[False][0].quantile(0.99) / ways[True][0].quantile(0.99)
        click.echo(f"completions' TTFT p99, without / with: {ratio:.1f}")

        costs = {in_lane: [await type_on(house, in_lane=in_lane) for _ in range(rounds)] for in_lane in (False, True)}
        for in_lane, found in costs.items():
            prompt, completion = (sum(one) / len(found) for one in zip(*found, strict=True))
            name = "superseded" if in_lane else "left to run"
            click.echo(f"{NUM_KEYS} keys, {name}: {prompt:.0f} prompt tokens, {completion:.0f} completion tokens")

        among = {priority: (Seen(), Seen()) for priority in ("interactive", "background")}
        for _ in range(rounds):
            for priority, seen in among.items():
                await among_others(house, *seen, priority)
        for priority, (chats, _) in among.items():
            click.echo(f"chats among {NUM_BACKGROUND} others that are {priority}: {chats.told()}")
        ratio = among["interactive"][0].quantile(0.99) / among["background"][0].quantile(0.99)
        click.echo(f"chats' TTFT p99, without / with priorities: {ratio:.1f}")


@click.command()
@click.option("--seconds", default=20.0, show_default=True, help="Length of each window of the first part.")
@click.option("--rounds", default=3, show_default=True, help="Windows of each kind.")
def main(seconds: float, rounds: int) -> None:
    """Measure the lane for completion and the queue's priorities."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, running_house(Path(folder)) as (address, ports):
        asyncio.run(measure(address, ports, seconds, rounds))


if __name__ == "__main__":
    main()
