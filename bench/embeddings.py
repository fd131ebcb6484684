"""
What merging requests for embeddings gains: `python -m bench.embeddings`.

A real engine, and before it two routers without Ray of which one merges, in turns within one run. Each client asks for
one input at a time, and each input is another one. `--engine` has the engine's settings, as in a Serve file.
"""

import asyncio
import itertools
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
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


async def rate(target: Target, num_clients: int, seconds: float, length: int, *, as_tokens: bool) -> Rate:
    headers = {"authorization": f"Bearer {target.key}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(target.url, headers=headers, connector=connector) as session:

        async def client() -> int:
            num_inputs = 0
            while not num_inputs or time.monotonic() < deadline:
                body = {"model": MODEL, "input": make_input(length, as_tokens=as_tokens), "encoding_format": "base64"}
                async with session.post("/v1/embeddings", json=body) as answer:
                    await answer.read()
                    answer.raise_for_status()
                num_inputs += 1
            return num_inputs

        began, before = time.monotonic(), target.spent_s()
        deadline = began + seconds
        num_inputs = sum(await asyncio.gather(*(client() for _ in range(num_clients))))
        elapsed_s = time.monotonic() - began
        spent = zip(before, target.spent_s(), strict=True)
        return Rate(num_inputs / elapsed_s, tuple((after - earlier) / num_inputs * 1e6 for earlier, after in spent))


async def wait_for(target: Target) -> None:
    """
    Raises:
        ServerFailed: it ended, or gave no answer in time.
    """
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        target.servers[0].check()
        try:
            await rate(target, 1, 0.001, 4, as_tokens=False)
        except aiohttp.ClientError:
            await asyncio.sleep(0.2)
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
        asyncio.run(wait_for(Target(f"http://127.0.0.1:{address.port}", SECRET, (server,))))
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
            asyncio.run(wait_for(targets[-1]))
        yield targets[0], targets[1]


async def measure(plain: Target, merging: Target, seconds: float, length: int, *, as_tokens: bool) -> str:
    """One line about inputs of one length; of two turns each, the better one."""
    one = max([await rate(plain, 1, seconds, length, as_tokens=as_tokens) for _ in range(2)])
    turns: tuple[list[Rate], list[Rate]] = ([], [])
    for _ in range(2):
        for target, results in zip((plain, merging), turns, strict=True):
            results.append(await rate(target, NUM_CLIENTS, seconds, length, as_tokens=as_tokens))
    apart, merged = (max(results) for results in turns)
    times = [merged.inputs_per_s / other.inputs_per_s for other in (apart, one)]
    return (
        f"{length} {'tokens' if as_tokens else 'words'}: one client {one}; {NUM_CLIENTS} clients apart {apart}, merged "
        f"{merged}: {times[0]:.2f} times as many as apart, {times[1]:.1f} times as many as with one client"
    )


@click.command()
@click.option("--engine", default='{"engine": "llama_cpp"}', show_default=True, help="The engine's settings, as JSON.")
@click.option("--tokens", is_flag=True, help="Give the inputs as tokens, not as texts.")
@click.option("--length", "lengths", multiple=True, default=[6, 15, 150], show_default=True, help="Of an input.")
@click.option("--seconds", default=4.0, show_default=True, help="Length of each measurement.")
def main(engine: str, *, tokens: bool, lengths: tuple[int, ...], seconds: float) -> None:
    """Measure embeddings of single inputs: how many a second, and the CPU of the router and the engine for each."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        running_targets(json.loads(engine), Path(folder)) as (plain, merging),
    ):
        for length in lengths:
            click.echo(asyncio.run(measure(plain, merging, seconds, length, as_tokens=tokens)))


if __name__ == "__main__":
    main()
