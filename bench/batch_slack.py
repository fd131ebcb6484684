"""
What a saturating batch does to interactive traffic: `python -m bench.batch_slack`.

One router without Ray before one simulated engine, whose slots are all that requests compete for; its tokens do not
slow each other down, so this says what the router's yielding does and nothing of a GPU. Windows without and with a
batch take turns in one run. Clients come steadily, and in bursts that need slots which lines have.
"""

import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import click

from bench.processes import free_port, running
from bench.readiness import Address, wait_until_answering
from bench.scenarios import MODEL
from configs.engine import SimulatedSettings
from deployments.engines.contract import EngineAddress
from deployments.engines.simulated.engine import SimulatedEngine

KEY = "key-of-the-bench"
SECRET = "secret-of-the-engine"  # noqa: S105 - of an engine that lives as long as the bench
NUM_SLOTS = 32
NUM_CLIENTS = 8
"""Who ask again after a pause of 0 to `PAUSE_S`."""
PAUSE_S = 0.1
BURST_EVERY_S = 1.0
NUM_TOKENS = 20
NUM_LINES = 40_000
"""More than any window can answer."""
LINE_TOKENS = 40
PREFILL_MS = 200.0
"""Of every request: a prompt of some thousand tokens on one GPU. Long beside what a busy machine adds by itself."""
INTER_TOKEN_MS = 20.0
START_TIMEOUT_S = 30.0


@dataclass(slots=True)
class Window:
    """What was seen in windows of one kind."""

    ttft_ms: list[float] = field(default_factory=list)
    num_failed: int = 0
    num_lines: int = 0
    elapsed_s: float = 0.0

    def quantile(self, ratio: float) -> float:
        return sorted(self.ttft_ms)[min(len(self.ttft_ms) - 1, int(ratio * len(self.ttft_ms)))]

    def told(self) -> str:
        return (
            f"{len(self.ttft_ms)} requests, {self.num_failed} failed, TTFT median {statistics.median(self.ttft_ms):.1f}"
            f" ms, p90 {self.quantile(0.9):.1f}, p99 {self.quantile(0.99):.1f}, worst {max(self.ttft_ms):.1f}; "
            f"{self.num_lines / self.elapsed_s:.0f} lines/s"
        )


@contextmanager
def running_house(folder: Path, max_slots_ratio: float) -> Iterator[str]:
    """The router's address."""
    settings = SimulatedSettings(
        engine="simulated",
        model=MODEL,
        max_num_seqs=NUM_SLOTS,
        prefill_base_ms=PREFILL_MS,
        prefill_tokens_per_s=1e12,
        inter_token_ms=INTER_TOKEN_MS,
    )
    engine_port, port = free_port(), free_port()
    command = SimulatedEngine(settings).command(EngineAddress("127.0.0.1", engine_port, SECRET))
    with running("engine", command.argv, command.environment, folder) as engine:
        wait_until_answering(Address("127.0.0.1", (engine_port,), SECRET), [engine], START_TIMEOUT_S)
        batches = {
            "store": {"type": "folder", "path": str(folder / "batches")},
            "max_slots_ratio": max_slots_ratio,
        }
        environment = {**os.environ, "ENGINEHOUSE_BENCH_KEY": KEY, "BENCH_ENGINE_KEY": SECRET}
        environment |= {"BENCH_BATCHES": json.dumps(batches), "BENCH_MAX_NUM_SEQS": str(NUM_SLOTS)}
        argv = [sys.executable, "-m", "bench.bare_router", str(port), str(engine_port)]
        with running("router", argv, environment, folder) as router:
            wait_until_answering(Address("127.0.0.1", (port,), KEY), [router], START_TIMEOUT_S)
            yield f"http://127.0.0.1:{port}"


async def ask(session: aiohttp.ClientSession, window: Window) -> None:
    """One interactive stream, read to its end."""
    messages = [{"role": "user", "content": str(random.random())}]
    body = {"model": MODEL, "messages": messages, "stream": True, "simulated": {"num_tokens": NUM_TOKENS}}
    began = time.monotonic()
    async with session.post("/v1/chat/completions", json=body) as answer:
        first = None
        content = b""
        async for part in answer.content.iter_any():
            content += part
            if first is None and b"data: " in content:
                first = time.monotonic()
    if answer.status != 200 or first is None or b"[DONE]" not in content:
        window.num_failed += 1
    else:
        window.ttft_ms.append((first - began) * 1000)


async def interactive(session: aiohttp.ClientSession, window: Window, seconds: float, burst: int) -> None:
    deadline = time.monotonic() + seconds

    async def client() -> None:
        while time.monotonic() < deadline:
            await ask(session, window)
            await asyncio.sleep(random.uniform(0, PAUSE_S))

    async def bursts() -> None:
        while time.monotonic() < deadline:
            await asyncio.gather(*(ask(session, window) for _ in range(burst)))
            await asyncio.sleep(BURST_EVERY_S)

    began = time.monotonic()
    await asyncio.gather(bursts(), *(client() for _ in range(NUM_CLIENTS)))
    window.elapsed_s += time.monotonic() - began


@asynccontextmanager
async def batch_behind(session: aiohttp.ClientSession, file_id: str, window: Window) -> AsyncIterator[None]:
    """A batch that is answered from beginning to end of the block, and cancelled then."""
    wish = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    async with session.post("/v1/batches", json=wish) as answer:
        answer.raise_for_status()
        batch_id = (await answer.json())["id"]
    before = await _num_answered(session, batch_id, at_least=1)
    yield
    window.num_lines += await _num_answered(session, batch_id) - before
    async with session.post(f"/v1/batches/{batch_id}/cancel") as answer:
        answer.raise_for_status()
    is_over = False
    while not is_over:
        await asyncio.sleep(0.2)
        is_over = (await _find(session, batch_id))["status"] == "cancelled"


async def _num_answered(session: aiohttp.ClientSession, batch_id: str, at_least: int = 0) -> int:
    while True:
        found = await _find(session, batch_id)
        counts: dict[str, int] = found["request_counts"]  # type: ignore[assignment] # JSON
        if counts["completed"] >= at_least:
            return counts["completed"]
        await asyncio.sleep(0.1)


async def _find(session: aiohttp.ClientSession, batch_id: str) -> dict[str, object]:
    async with session.get(f"/v1/batches/{batch_id}") as answer:
        answer.raise_for_status()
        found: dict[str, object] = await answer.json()
        return found


async def upload(session: aiohttp.ClientSession) -> str:
    lines = []
    for number in range(NUM_LINES):
        messages = [{"role": "user", "content": f"line {number}"}]
        body = {"model": MODEL, "messages": messages, "simulated": {"num_tokens": LINE_TOKENS}}
        lines.append({"custom_id": str(number), "method": "POST", "url": "/v1/chat/completions", "body": body})
    form = aiohttp.FormData()
    form.add_field("purpose", "batch")
    form.add_field("file", "\n".join(json.dumps(one) for one in lines).encode(), filename="lines.jsonl")
    async with session.post("/v1/files", data=form) as answer:
        answer.raise_for_status()
        file_id: str = (await answer.json())["id"]
        return file_id


async def measure(address: str, seconds: float, rounds: int, burst: int) -> None:
    without, behind = Window(), Window()
    headers = {"authorization": f"Bearer {KEY}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(address, headers=headers, connector=connector) as session:
        file_id = await upload(session)
        await interactive(session, Window(), 2, burst)
        for _ in range(rounds):
            await interactive(session, without, seconds, burst)
            async with batch_behind(session, file_id, behind):
                await interactive(session, behind, seconds, burst)
    click.echo(f"without a batch: {without.told()}")
    click.echo(f"with a batch:    {behind.told()}")
    for name, ratio in (("median", 0.5), ("p90", 0.9), ("p99", 0.99)):
        click.echo(f"TTFT {name}, with / without: {behind.quantile(ratio) / without.quantile(ratio):.3f}")


@click.command()
@click.option("--seconds", default=10.0, show_default=True, help="Length of each window.")
@click.option("--rounds", default=3, show_default=True, help="Windows of each kind.")
@click.option("--max-slots-ratio", default=0.75, show_default=True, help="The setting of that name.")
@click.option("--burst", default=12, show_default=True, help="Requests that come at once, each second.")
def main(seconds: float, rounds: int, max_slots_ratio: float, burst: int) -> None:
    """Measure the time to the first token without and with a batch behind it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, running_house(Path(folder), max_slots_ratio) as house:
        asyncio.run(measure(house, seconds, rounds, burst))


if __name__ == "__main__":
    main()
