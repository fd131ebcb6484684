"""
What merging requests for embeddings gains: `python -m bench.embeddings`.

A real engine, and before it two routers without Ray of which one merges, in turns within one run. Each client asks for
one input at a time, and each input is another one. `--engine` has the engine's settings, as in a Serve file.
"""

import asyncio
import itertools
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import click

from bench.process_tree import cpu_s, read_processes, tree
from bench.processes import Server, ServerFailed, free_port, running
from bench.scenarios import MODEL
from configs.engine import ModelArgs
from deployments.engines import create_engine
from deployments.engines.contract import EngineAddress

KEY = "key-of-the-bench"
SECRET = "secret-of-the-engine"  # noqa: S105 - it guards nothing but this run
NUM_CLIENTS = 64
MAX_MODEL_LEN = 512
START_TIMEOUT_S = 240.0
WORDS = ("the", "file", "writes", "small", "data", "into", "cache", "while", "server", "waits", "for", "next", "word")
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Target:
    """An address that answers `/v1/embeddings`, and the processes that do: the first is the one at the address."""

    url: str
    key: str
    servers: tuple[Server, ...]

    def spent_s(self) -> tuple[float, ...]:
        """CPU of each of them, in seconds."""
        table = read_processes()
        return tuple(cpu_s(table, list(tree(table, [server.pid]))) for server in self.servers)


@dataclass(frozen=True, slots=True, order=True)
class Rate:
    inputs_per_s: float
    cpu_us: tuple[float, ...]
    """Of each of the target's servers, for one input."""

    def __str__(self) -> str:
        return f"{self.inputs_per_s:.0f}/s ({' and '.join(f'{us:.0f}' for us in self.cpu_us)} us)"


def make_input(length: int, *, as_tokens: bool) -> object:
    """Another one each time: so many words, or so many tokens."""
    number = next(_numbers)
    if as_tokens:
        return [100 + number % 1000, *(random.randrange(100, 1000) for _ in range(length - 1))]
    return f"{number} " + " ".join(random.choice(WORDS) for _ in range(length - 1))


@dataclass(frozen=True, slots=True)
class Load:
    """What clients ask for: inputs of so many words or tokens. They are spread over so many processes."""

    length: int
    as_tokens: bool = False
    num_processes: int = 1


def ask(url: str, key: str, num_clients: int, seconds: float, load: Load) -> int:
    """Inputs that so many clients of one process had embedded."""
    return asyncio.run(_ask(url, key, num_clients, seconds, load))


async def _ask(url: str, key: str, num_clients: int, seconds: float, load: Load) -> int:
    deadline = time.monotonic() + seconds
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, headers={"authorization": f"Bearer {key}"}, connector=connector) as session:

        async def client() -> int:
            num_inputs = 0
            while not num_inputs or time.monotonic() < deadline:
                body = {
                    "model": MODEL,
                    "input": make_input(load.length, as_tokens=load.as_tokens),
                    "encoding_format": "base64",
                }
                async with session.post("/v1/embeddings", json=body) as answer:
                    await answer.read()
                    answer.raise_for_status()
                num_inputs += 1
            return num_inputs

        return sum(await asyncio.gather(*(client() for _ in range(num_clients))))


def rate(target: Target, num_clients: int, seconds: float, load: Load) -> Rate:
    num_processes = min(num_clients, load.num_processes)
    shares = [num_clients // num_processes + (number < num_clients % num_processes) for number in range(num_processes)]
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(num_processes, context) as processes:
        list(processes.map(abs, range(num_processes)))  # they have started
        began, before = time.monotonic(), target.spent_s()
        asking = [processes.submit(ask, target.url, target.key, share, seconds, load) for share in shares]
        num_inputs = sum(one.result() for one in asking)
        elapsed_s = time.monotonic() - began
    spent = zip(before, target.spent_s(), strict=True)
    return Rate(num_inputs / elapsed_s, tuple((after - earlier) / num_inputs * 1e6 for earlier, after in spent))


def wait_for(target: Target) -> None:
    """
    Raises:
        ServerFailed: it ended, or gave no answer in time.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        target.servers[0].check()
        try:
            ask(target.url, target.key, 1, 0.001, Load(4))
        except aiohttp.ClientError:
            time.sleep(0.2)
        else:
            return
    raise ServerFailed(f"no answer after {START_TIMEOUT_S:.0f} s\n{target.servers[0].last_lines()}")


@contextmanager
def running_targets(engine_fields: dict[str, object], folder: Path) -> Iterator[tuple[Target, Target]]:
    """A router that does not merge and one that does, before one engine."""
    fields = {"max_model_len": MAX_MODEL_LEN, **engine_fields, "model": MODEL, "task": "embed"}
    engine = create_engine(ModelArgs.model_validate(fields).root)
    address = EngineAddress("127.0.0.1", free_port(), SECRET)
    command = engine.command(address)
    if command is None:
        raise click.BadParameter("it must be an engine that is started here", param_hint="--engine")
    with ExitStack() as stack:
        server = stack.enter_context(running("engine", command.argv, command.environment, folder))
        wait_for(Target(f"http://127.0.0.1:{address.port}", SECRET, (server,)))
        targets = []
        for is_merging in (False, True):
            port = free_port()
            environment = {
                **os.environ,
                "ENGINEHOUSE_BENCH_KEY": KEY,
                "BENCH_ENGINE_KEY": SECRET,
                "BENCH_TASK": "embed",
                "BENCH_PROFILE": engine.profile,
                "BENCH_MERGING": json.dumps({"enabled": is_merging}),
            }
            argv = [sys.executable, "-m", "bench.bare_router", str(port), str(address.port)]
            router = stack.enter_context(running(f"router-{is_merging}", argv, environment, folder))
            targets.append(Target(f"http://127.0.0.1:{port}", KEY, (router, server)))
            wait_for(targets[-1])
        yield targets[0], targets[1]


def measure(plain: Target, merging: Target, seconds: float, load: Load) -> str:
    """One line about inputs of one length; of two turns each, the better one."""
    one = max([rate(plain, 1, seconds, load) for _ in range(2)])
    turns: tuple[list[Rate], list[Rate]] = ([], [])
    for _ in range(2):
        for target, results in zip((plain, merging), turns, strict=True):
            results.append(rate(target, NUM_CLIENTS, seconds, load))
    apart, merged = (max(results) for results in turns)
    times = [merged.inputs_per_s / other.inputs_per_s for other in (apart, one)]
    return (
        f"{load.length} {'tokens' if load.as_tokens else 'words'}: one client {one}; {NUM_CLIENTS} clients apart "
        f"{apart}, merged {merged}: {times[0]:.2f} times as many as apart, "
        f"{times[1]:.1f} times as many as with one client"
    )


@click.command()
@click.option("--engine", default='{"engine": "llama_cpp"}', show_default=True, help="The engine's settings, as JSON.")
@click.option("--tokens", is_flag=True, help="Give the inputs as tokens, not as texts.")
@click.option("--length", "lengths", multiple=True, default=[6, 15, 150], show_default=True, help="Of an input.")
@click.option("--processes", default=1, show_default=True, help="Of the clients.")
@click.option("--seconds", default=4.0, show_default=True, help="Length of each measurement.")
def main(engine: str, *, tokens: bool, lengths: tuple[int, ...], processes: int, seconds: float) -> None:
    """Measure embeddings of single inputs: how many a second, and the CPU of the router and the engine for each."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        running_targets(json.loads(engine), Path(folder)) as (plain, merging),
    ):
        for length in lengths:
            click.echo(measure(plain, merging, seconds, Load(length, tokens, processes)))


if __name__ == "__main__":
    main()
