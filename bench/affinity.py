"""
What replica choice is worth: `python -m bench.affinity`.

Agents whose prompts grow from 20 to 70 KB, on four simulated engines with their KV-cache model; in one run each way to
choose a replica, a hot prefix, two routers, and a replica that dies and comes back. `--llama-cpp N` does the first on
so many real engines with a small model instead, `--engine` on four engines with the settings of a Serve file. Nothing
here uses Ray; the routers are the real ones.
"""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp
import click

from bench.agents import AGENTS, ANSWER_TIMEOUT_S, HOT, SMALL, Agents, Seen, Work
from bench.figures import load_of
from bench.processes import Server, free_port, running
from bench.readiness import Address, wait_until_answering
from bench.scenarios import MODEL
from configs.engine import LlamaCppSettings, ModelArgs, SimulatedSettings
from deployments.engines import create_engine, prometheus_text
from deployments.engines.contract import Engine, EngineAddress
from deployments.engines.llama_cpp.engine import LlamaCppEngine
from deployments.engines.simulated.engine import SimulatedEngine

KEY, SECRET = "key-of-the-bench", "secret-of-engines"
NUM_ENGINES = 4
CHOICES = ("round_robin", "least_busy", "prefix")
SAMPLE_S = 0.1
START_TIMEOUT_S = 120.0
FINISHED_NAMES = ("vllm:request_success_total",)


@dataclass(slots=True)
class Loads:
    """Samples of the requests in each engine, running and waiting."""

    samples: list[list[int]] = field(default_factory=list)
    num_finished: list[int] = field(default_factory=list)

    @property
    def max_over_mean(self) -> float:
        """Of the engines' loads over the whole time: the highest, in means."""
        totals = [sum(column) for column in zip(*self.samples, strict=True)]
        return float(max(totals) * len(totals) / max(1, sum(totals)))


class Cluster:
    """Engines and routers."""

    def __init__(self, engine: Engine, num_engines: int, folder: Path) -> None:
        self._engine = engine
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self.ports = [free_port() for _ in range(num_engines)]
        self._engines = [self._stack.enter_context(contextlib.ExitStack()) for _ in self.ports]
        self.urls: list[str] = []

    def start_engine(self, index: int) -> None:
        command = self._engine.command(EngineAddress("127.0.0.1", self.ports[index], SECRET))
        if command is None:
            raise click.BadParameter("it must be an engine that is started here", param_hint="--engine")
        server = running(f"engine-{index}", command.argv, command.environment, self._folder)
        started = self._engines[index].enter_context(server)
        self._wait(self.ports[index], SECRET, started)

    def stop_engine(self, index: int) -> None:
        self._engines[index].close()

    def start_router(self, choice: str) -> None:
        port = free_port()
        environment = {**os.environ, "ENGINEHOUSE_BENCH_KEY": KEY, "BENCH_ENGINE_KEY": SECRET}
        ports = ",".join(map(str, self.ports))
        argv = [sys.executable, "-m", "bench.affinity_router", choice, self._engine.profile, str(port), ports]
        server = self._stack.enter_context(running(f"router-{port}", argv, environment, self._folder))
        self._wait(port, KEY, server)
        self.urls.append(f"http://127.0.0.1:{port}")

    def close(self) -> None:
        self._stack.close()

    async def sample(self, loads: Loads) -> None:
        """Until it is cancelled. An engine that is gone has no load."""
        async with aiohttp.ClientSession(headers={"authorization": f"Bearer {SECRET}"}) as session:
            while True:
                texts = await asyncio.gather(*(self._metrics(session, port) for port in self.ports))
                loads.samples.append([sum(load_of(text)) for text in texts])
                values = [prometheus_text.samples(text) for text in texts]
                loads.num_finished = [int(sum(one.get(name, 0) for name in FINISHED_NAMES)) for one in values]
                await asyncio.sleep(SAMPLE_S)

    async def _metrics(self, session: aiohttp.ClientSession, port: int) -> str:
        try:
            async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                return await answer.text()
        except aiohttp.ClientError:
            return ""

    def _wait(self, port: int, key: str, server: Server) -> None:
        wait_until_answering(Address("127.0.0.1", (port,), key), [server], START_TIMEOUT_S)


@contextlib.contextmanager
def cluster(engine: Engine, num_engines: int, choice: str, num_routers: int) -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        made = Cluster(engine, num_engines, Path(folder))
        with contextlib.closing(made):
            for index in range(num_engines):
                made.start_engine(index)
            for _ in range(num_routers):
                made.start_router(choice)
            yield made


async def observe(
    made: Cluster, work: Work, disturb: Callable[[Agents], None] | None = None, subject: int = 0
) -> tuple[Seen, Loads]:
    """Let the agents work. `disturb` runs in a thread beside them."""
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, connector=connector, timeout=timeout) as session:
        agents, loads = Agents(work, made.urls, session, subject), Loads()
        sampling = asyncio.ensure_future(made.sample(loads))
        disturbing = None if disturb is None else asyncio.ensure_future(_when_due(agents, work, disturb))
        seen = await agents.run()
        if disturbing is not None:
            await disturbing
        sampling.cancel()
    return seen, loads


async def _when_due(agents: Agents, work: Work, disturb: Callable[[Agents], None]) -> None:
    for part in (3, 6):
        await agents.have_done(work.num_tasks * work.num_turns * part // 10)
        await asyncio.to_thread(disturb, agents)


def report(title: str, seen: Seen, loads: Loads) -> None:
    row = {
        "requests": seen.num_requests,
        "errors": len(seen.errors),
        "reused": round(seen.reuse_ratio, 3),
        "cached of all": round(seen.num_cached_tokens / max(1, seen.num_prompt_tokens), 3),
        "ttft_p50_ms": round(seen.ttft(50), 1),
        "ttft_p99_ms": round(seen.ttft(99), 1),
        "max_over_mean_load": round(loads.max_over_mean, 2),
        "served": loads.num_finished,
    }
    click.echo(f"{title}: {json.dumps(row)}")
    for error in seen.errors[:3]:
        click.echo(f"  {error}", err=True)


def measure_simulated(kv_cache_tokens: int, scale: float) -> None:
    engine = SimulatedEngine(
        SimulatedSettings(
            engine="simulated",
            model=MODEL,
            max_model_len=32_768,
            prefill_base_ms=10.0,
            prefill_tokens_per_s=20_000.0,
            inter_token_ms=10.0,
            kv_cache_tokens=kv_cache_tokens,
        )
    )
    agents, hot = (replace(work, num_tasks=max(1, round(work.num_tasks * scale))) for work in (AGENTS, HOT))
    for choice in CHOICES:
        with cluster(engine, NUM_ENGINES, choice, num_routers=1) as made:
            report(f"agents, {choice}", *asyncio.run(observe(made, agents)))
    for choice in CHOICES:
        with cluster(engine, NUM_ENGINES, choice, num_routers=1) as made:
            report(f"hot prefix, {choice}", *asyncio.run(observe(made, hot)))
    for title, work in (("agents", agents), ("hot prefix", hot)):
        with cluster(engine, NUM_ENGINES, "prefix", num_routers=2) as made:
            report(f"{title}, prefix, two routers", *asyncio.run(observe(made, work)))
    for choice in ("round_robin", "prefix"):
        with cluster(engine, NUM_ENGINES, choice, num_routers=1) as made:
            report(f"agents, {choice}, a replica dies and comes back", *asyncio.run(observe_death(made, agents)))


async def observe_death(made: Cluster, work: Work) -> tuple[Seen, Loads]:
    steps = iter((made.stop_engine, made.start_engine))
    return await observe(made, work, lambda _: next(steps)(1))


def measure_llama_cpp(num_engines: int, scale: float) -> None:
    engine = LlamaCppEngine(
        LlamaCppSettings(engine="llama_cpp", model=MODEL, max_model_len=2048, max_num_seqs=4, num_threads=1)
    )
    work = replace(SMALL, num_tasks=max(1, round(SMALL.num_tasks * scale)))
    for choice in CHOICES:
        with cluster(engine, num_engines, choice, num_routers=1) as made:
            report(f"llama.cpp, {choice}", *asyncio.run(observe(made, work)))


def measure_engine(settings: dict[str, object], scale: float) -> None:
    """They are started once. Each way to choose has texts of its own, so that none finds another's cached."""
    engine = create_engine(ModelArgs.model_validate({**settings, "model": MODEL}).root)
    work = replace(AGENTS, num_tasks=max(1, round(AGENTS.num_tasks * scale)))
    with cluster(engine, NUM_ENGINES, CHOICES[0], num_routers=1) as made:
        for number, choice in enumerate(CHOICES):
            if number:
                made.urls.clear()
                made.start_router(choice)
            title = f"{settings['engine']}, {choice}"
            report(title, *asyncio.run(observe(made, work, subject=number)))


@click.command()
@click.option("--engine", help="The settings of four real engines instead, as JSON.")
@click.option("--llama-cpp", "num_engines", type=int, help="On so many real llama.cpp engines instead.")
@click.option(
    "--kv-cache-tokens",
    default=160_000,
    show_default=True,
    help="Of each simulated engine. The default is about what a coding model of 30B parameters leaves of 80 GB.",
)
@click.option("--scale", default=1.0, show_default=True, help="How many tasks, in multiples of what is usual.")
def main(engine: str | None, num_engines: int | None, kv_cache_tokens: int, scale: float) -> None:
    """Measure what replica choice is worth on agents' traffic."""
    if engine is not None:
        measure_engine(json.loads(engine), scale)
    elif num_engines is None:
        measure_simulated(kv_cache_tokens, scale)
    else:
        measure_llama_cpp(num_engines, scale)


if __name__ == "__main__":
    main()
