"""
What a second replica is worth where the first is slow to begin: `python -m bench.hedging`.

Two engines, simulated or real, and three routers without Ray before them: one does not hedge, one does by default, and
one as soon as a stream is later than 95 in 100. Requests come at random moments at a steady rate, whether or not those
before them are answered (open loop), and the routers take turns, each with the same moments. Three scenes:

- `quiet`: nothing happens. What hedging costs where it is not needed.
- `frozen`: an engine with all of its processes stands still for a moment (SIGSTOP), one after the other.
- `long`: now and then a long prompt comes, which holds up the engine that reads it. Its own time is told apart.

Times are from the moment at which a request is due until its first token. What hedging costs is what the engines read
and wrote for each token that a client has, by their own counters. Every answer is read to its end and checked.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import click

from bench.measured import quantile
from bench.process_tree import read_processes, tree
from bench.processes import Server, free_port, running
from bench.readiness import Address, wait_until_answering
from bench.scenarios import MODEL
from configs.engine import ModelArgs
from deployments.engines import create_engine, prometheus_text
from deployments.engines.contract import Engine, EngineAddress

KEY, SECRET = "key-of-the-bench", "secret-of-engines"
NUM_ENGINES = 2
START_TIMEOUT_S = 400.0
SIMULATED = {
    "engine": "simulated", "max_prefills": 1, "prefill_base_ms": 15.0, "prefill_tokens_per_s": 20_000.0,
    "inter_token_ms": 8.0,
}  # fmt: skip
POLICIES = {
    "off": "{}",
    "on": '{"hedging": {"enabled": true}}',
    "eager": '{"hedging": {"enabled": true, "delay_factor": 1, "min_delay_ms": 1}}',
}
"""`eager` asks a second replica as soon as a stream is later than 95 in 100."""
SCENES = ("quiet", "frozen", "long")
WORDS = ("queue", "index", "parse", "token", "cache", "merge", "graph", "shard", "lease", "batch", "route", "probe")
SETTLING_S = 2.0
"""After each window, until the engines have noticed whom nobody waits for."""


@dataclass(frozen=True, slots=True)
class Load:
    """`rate` is in requests a second; sizes of prompts are in characters."""

    rate: float
    seconds: float
    num_tokens: int
    prompt_chars: int
    freeze_s: float
    freeze_every_s: float
    long_chars: int
    long_every_s: float


@dataclass(slots=True)
class Seen:
    """
    One way in one scene, over some rounds. `engine_tokens` are what engines read and wrote, by kind; `asked_tokens`
    what their answers to clients say that they did. Times are in milliseconds.
    """

    ttft_ms: list[float] = field(default_factory=list)
    long_ttft_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    asked_tokens: Counter[str] = field(default_factory=Counter)
    engine_tokens: Counter[str] = field(default_factory=Counter)
    hedges: Counter[str] = field(default_factory=Counter)

    def row(self) -> dict[str, object]:
        def told(values: Sequence[float]) -> dict[str, float]:
            return {f"p{percent}": round(quantile(values, percent / 100), 1) for percent in (50, 95, 99, 100)}

        return {
            "requests": len(self.ttft_ms) + len(self.long_ttft_ms),
            "errors": len(self.errors),
            "ttft_ms": told(self.ttft_ms),
            **({"long_ttft_ms": told(self.long_ttft_ms)} if self.long_ttft_ms else {}),
            "hedges": dict(self.hedges),
            **{
                f"{kind} tokens of engines, for each of clients": round(
                    self.engine_tokens[kind] / max(1, self.asked_tokens[kind]), 3
                )
                for kind in ("prompt", "completion")
            },
        }


class House:
    """Two engines, and a router before them for each policy."""

    def __init__(self, engine: Engine, folder: Path, *, is_apart: bool) -> None:
        self._stack = contextlib.ExitStack()
        self._folder = folder
        self.ports = [free_port() for _ in range(NUM_ENGINES)]
        self.urls: dict[str, str] = {}
        try:
            self.engines = [
                self._start_engine(engine, port, {"CUDA_VISIBLE_DEVICES": str(number)} if is_apart else {})
                for number, port in enumerate(self.ports)
            ]
            wait_until_answering(Address("127.0.0.1", tuple(self.ports), SECRET), self.engines, START_TIMEOUT_S)
            for way, policy in POLICIES.items():
                self._start_router(engine, way, policy)
        except BaseException:
            self.close()
            raise

    def _start_engine(self, engine: Engine, port: int, environment: dict[str, str]) -> Server:
        command = engine.command(EngineAddress("127.0.0.1", port, SECRET))
        if command is None:
            raise click.BadParameter("it must be an engine that is started here", param_hint="--engine")
        server = running(f"engine-{port}", command.argv, {**command.environment, **environment}, self._folder)
        return self._stack.enter_context(server)

    def _start_router(self, engine: Engine, way: str, policy: str) -> None:
        port = free_port()
        environment = {**os.environ, "ENGINEHOUSE_BENCH_KEY": KEY, "BENCH_ENGINE_KEY": SECRET}
        ports = ",".join(map(str, self.ports))
        argv = [sys.executable, "-m", "bench.hedging_router", policy, engine.profile, str(port), ports]
        server = running(f"router-{way}", [*argv, str(self._log(way))], environment, self._folder)
        started = self._stack.enter_context(server)
        wait_until_answering(Address("127.0.0.1", (port,), KEY), [started], START_TIMEOUT_S)
        self.urls[way] = f"http://127.0.0.1:{port}"

    def _log(self, way: str) -> Path:
        return self._folder / f"hedges-{way}"

    def hedges(self, way: str) -> Counter[str]:
        """How they went, since the start."""
        return Counter(self._log(way).read_text(encoding="utf-8").split())

    async def tokens(self) -> Counter[str]:
        """What all engines have read and written since their start."""
        total: Counter[str] = Counter()
        async with aiohttp.ClientSession(headers={"authorization": f"Bearer {SECRET}"}) as session:
            for port in self.ports:
                async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                    values = prometheus_text.samples(await answer.text())
                total["prompt"] += int(values["vllm:prompt_tokens_total"])
                total["completion"] += int(values["vllm:generation_tokens_total"])
        return total

    @contextlib.contextmanager
    def frozen(self, index: int) -> Iterator[None]:
        """An engine stands still as long as the block runs."""
        pids = tree(read_processes(), [self.engines[index].pid])
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        self._stack.close()


@contextlib.contextmanager
def open_house(engine: Engine, *, is_apart: bool) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        house = House(engine, Path(folder), is_apart=is_apart)
        with contextlib.closing(house):
            yield house


def _text(chance: random.Random, num_chars: int) -> str:
    """One that no other begins like."""
    return f"{chance.random()} " + " ".join(chance.choices(WORDS, k=num_chars // 6))


class Window:
    """One way in one scene, for a while."""

    def __init__(self, session: aiohttp.ClientSession, url: str, load: Load, seen: Seen, seed: int) -> None:
        self._session = session
        self._url = url
        self._load = load
        self._seen = seen
        self._moments = random.Random(seed)  # the same for every way
        self._texts = random.Random()
        self._asking: set[asyncio.Task[None]] = set()

    async def run(self, house: House, scene: str) -> None:
        """Returns when the last answer is whole."""
        began = time.monotonic()
        disturbing = asyncio.create_task(self._disturb(house, scene, began))
        due = began
        while (due := due + self._moments.expovariate(self._load.rate)) < began + self._load.seconds:
            await asyncio.sleep(due - time.monotonic())
            self._ask(due, self._load.prompt_chars, self._seen.ttft_ms)
        await disturbing
        await asyncio.gather(*self._asking)

    async def _disturb(self, house: House, scene: str, began: float) -> None:
        load = self._load
        every_s = {"frozen": load.freeze_every_s, "long": load.long_every_s}.get(scene)
        if every_s is None:
            return
        async for number, due in _each(began + every_s / 2, every_s, began + load.seconds):
            if scene == "long":
                self._ask(due, load.long_chars, self._seen.long_ttft_ms)
            else:
                with house.frozen(number % NUM_ENGINES):
                    await asyncio.sleep(load.freeze_s)

    def _ask(self, due: float, num_chars: int, times_ms: list[float]) -> None:
        task = asyncio.create_task(self._answered(due, num_chars, times_ms))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _answered(self, due: float, num_chars: int, times_ms: list[float]) -> None:
        body = {
            "model": MODEL, "messages": [{"role": "user", "content": _text(self._texts, num_chars)}], "temperature": 0,
            "max_tokens": self._load.num_tokens, "ignore_eos": True,
            "stream": True, "stream_options": {"include_usage": True},
        }  # fmt: skip
        first_at, content = None, b""
        try:
            async with self._session.post(f"{self._url}/v1/chat/completions", json=body) as answer:
                async for part in answer.content.iter_any():
                    content += part
                    if first_at is None and b'"content":"' in content.replace(b'"content":""', b""):
                        first_at = time.monotonic()
        except aiohttp.ClientError as error:
            content = repr(error).encode()
        usage = usage_of(content)
        if first_at is None or usage.get("completion_tokens") != self._load.num_tokens or b"[DONE]" not in content:
            self._seen.errors.append(content[-200:].decode(errors="replace"))
            return
        times_ms.append((first_at - due) * 1000)
        self._seen.asked_tokens["prompt"] += usage["prompt_tokens"]
        self._seen.asked_tokens["completion"] += usage["completion_tokens"]


async def _each(due: float, every_s: float, end: float) -> AsyncIterator[tuple[int, float]]:
    """Wakes at each of these moments, and counts them."""
    number = 0
    while due < end:
        await asyncio.sleep(due - time.monotonic())
        yield number, due
        number, due = number + 1, due + every_s


def usage_of(content: bytes) -> dict[str, int]:
    """That of a stream; empty where it has none."""
    for line in reversed(content.split(b"\n")):
        if line.startswith(b"data: {") and b'"usage":{' in line.replace(b" ", b""):
            found: dict[str, int] = json.loads(line.removeprefix(b"data: "))["usage"]
            return found
    return {}


async def measure(house: House, load: Load, scenes: Sequence[str], num_rounds: int) -> None:
    timeout, connector = aiohttp.ClientTimeout(total=300), aiohttp.TCPConnector(limit=0)
    headers = {"authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers, connector=connector, timeout=timeout) as session:
        for url in house.urls.values():  # both know what is usual, and no graph is still to be captured
            await Window(session, url, load, Seen(), 0).run(house, "quiet")
        for scene in scenes:
            total = {way: Seen() for way in house.urls}
            for number in range(num_rounds):
                for way, url in house.urls.items():
                    seen, tokens, hedges = Seen(), await house.tokens(), house.hedges(way)
                    await Window(session, url, load, seen, number + 1).run(house, scene)
                    await asyncio.sleep(SETTLING_S)
                    seen.engine_tokens = await house.tokens() - tokens
                    seen.hedges = house.hedges(way) - hedges
                    click.echo(f"{scene}, {way}, round {number + 1}: {json.dumps(seen.row())}")
                    _add(total[way], seen)
            for way, seen in total.items():
                click.echo(f"{scene}, {way}, all rounds: {json.dumps(seen.row())}")
                for error in seen.errors[:3]:
                    click.echo(f"  {error}", err=True)
            for way in ("on", "eager"):
                _compare(f"{scene}, {way}", total["off"], total[way])


def _add(total: Seen, seen: Seen) -> None:
    total.ttft_ms += seen.ttft_ms
    total.long_ttft_ms += seen.long_ttft_ms
    total.errors += seen.errors
    total.asked_tokens += seen.asked_tokens
    total.engine_tokens += seen.engine_tokens
    total.hedges += seen.hedges


def _compare(what: str, off: Seen, on: Seen) -> None:
    ratios = ", ".join(
        f"p{percent} {quantile(off.ttft_ms, percent / 100) / quantile(on.ttft_ms, percent / 100):.2f}"
        for percent in (50, 95, 99)
    )
    click.echo(f"{what}: TTFT without hedging / with: {ratios}")


@click.command()
@click.option("--engine", default=json.dumps(SIMULATED), help="The settings of the engines, as JSON.")
@click.option("--apart", "is_apart", is_flag=True, help="Each engine on a GPU of its own.")
@click.option("--scene", "scenes", multiple=True, type=click.Choice(SCENES), default=SCENES, help="Default: all.")
@click.option("--rounds", default=2, show_default=True, help="Windows of each way in each scene.")
@click.option("--seconds", default=40.0, show_default=True, help="Length of a window.")
@click.option("--rate", default=12.0, show_default=True, help="Requests a second.")
@click.option("--tokens", "num_tokens", default=64, show_default=True, help="Of each answer.")
@click.option("--prompt-chars", default=600, show_default=True, help="Of each prompt.")
@click.option("--freeze-s", default=1.5, show_default=True, help="How long an engine stands still.")
@click.option("--freeze-every-s", default=8.0, show_default=True, help="From one freeze to the next, of the other.")
@click.option("--long-chars", default=90_000, show_default=True, help="Of each long prompt.")
@click.option("--long-every-s", default=4.0, show_default=True, help="From one long prompt to the next.")
def main(engine: str, is_apart: bool, scenes: Sequence[str], rounds: int, **load: float) -> None:  # noqa: FBT001 - click's
    """Measure what hedging is worth, and what it costs."""
    made = create_engine(ModelArgs.model_validate({**json.loads(engine), "model": MODEL}).root)
    with open_house(made, is_apart=is_apart) as house:
        asyncio.run(measure(house, Load(**load), scenes, rounds))  # type: ignore[arg-type]  # click has the types


if __name__ == "__main__":
    main()
