"""
What turns on one GPU cost: a running house with two models of a swap group is asked for one and the other.

    python -m bench.swap http://127.0.0.1:8000/v1 large small

First each model is asked twice in turn: the first answer waits for a swap, the second finds its model awake. Then both
are asked at once by many clients. Every answer must be whole.
"""

import asyncio
import contextlib
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

import aiohttp
import click
import orjson

NUM_TOKENS = 32
HEADERS = {"authorization": "Bearer none", "x-enginehouse-cache": "off"}
LIMIT = aiohttp.ClientTimeout(total=600)


@dataclass(frozen=True, slots=True)
class Told:
    """One streamed answer. `ttft_s` is from asking until its first token, in seconds."""

    model: str
    ttft_s: float
    num_tokens: int
    is_whole: bool


async def ask(session: aiohttp.ClientSession, url: str, model: str) -> Told:
    asked_at, first_at, num_tokens, is_done = time.monotonic(), None, 0, False
    body = {"model": model, "prompt": "The house on the hill", "max_tokens": NUM_TOKENS, "stream": True}
    body |= {"ignore_eos": True, "temperature": 0, "stream_options": {"include_usage": True}}
    # A broken answer is one that is not whole.
    with contextlib.suppress(aiohttp.ClientError):
        async with session.post(f"{url}/completions", json=body) as answer:
            async for line in answer.content:
                payload = line.removeprefix(b"data: ").strip()
                if not line.startswith(b"data: "):
                    continue
                if payload == b"[DONE]":
                    is_done = True
                    continue
                event = orjson.loads(payload)
                first_at = first_at or (time.monotonic() if event.get("choices") else None)
                num_tokens = (event.get("usage") or {}).get("completion_tokens", num_tokens)
    ttft_s = (first_at or time.monotonic()) - asked_at
    return Told(model, ttft_s, num_tokens, is_done and num_tokens == NUM_TOKENS)


async def alternate(session: aiohttp.ClientSession, url: str, models: tuple[str, ...], num_rounds: int) -> list[Told]:
    """Each model in turn, once asleep and once awake."""
    asleep: dict[str, list[float]] = {model: [] for model in models}
    awake: dict[str, list[float]] = {model: [] for model in models}
    told = []
    for _ in range(num_rounds):
        for model in models:
            for seen in (asleep, awake):
                told.append(await ask(session, url, model))
                seen[model].append(told[-1].ttft_s)
            print(f"{model} is awake; the GPU's memory in use: {await asyncio.to_thread(gpu_memory)}")
    for model in models:
        waited, at_once = statistics.median(asleep[model][1:] or asleep[model]), statistics.median(awake[model])
        print(f"{model}: TTFT p50 with a swap {waited:.2f} s, awake {at_once:.3f} s")
    return told


async def crowd(
    session: aiohttp.ClientSession, url: str, models: tuple[str, ...], clients: int, for_s: float
) -> list[Told]:
    """So many clients of each model ask without a pause."""
    told: list[Told] = []
    end = time.monotonic() + for_s

    async def client(model: str) -> None:
        while time.monotonic() < end:
            told.append(await ask(session, url, model))

    await asyncio.gather(*(client(model) for model in models for _ in range(clients)))
    for model in models:
        waits = sorted(one.ttft_s for one in told if one.model == model)
        print(f"{model}: {len(waits)} answers, TTFT p50 {statistics.median(waits):.2f} s, longest {waits[-1]:.2f} s")
    return told


def gpu_memory() -> str:
    if shutil.which("nvidia-smi") is None:
        return "unknown, there is no nvidia-smi"
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()


async def measure(url: str, models: tuple[str, ...], num_rounds: int, num_clients: int, crowd_s: float) -> bool:
    """Whether every answer was whole."""
    async with aiohttp.ClientSession(
        headers=HEADERS, timeout=LIMIT, connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        told = await alternate(session, url, models, num_rounds)
        told += await crowd(session, url, models, num_clients, crowd_s)
    broken = [one for one in told if not one.is_whole]
    print(f"{len(told)} answers, {len(broken)} of them not whole{': ' + str(broken[:3]) if broken else ''}")
    return not broken


@click.command()
@click.argument("url")
@click.argument("models", nargs=-1, required=True)
@click.option("--rounds", default=5, help="Turns of each model, one after the other.")
@click.option("--clients", default=8, help="Clients of each model, all at once.")
@click.option("--crowd-s", default=60.0, help="How long these ask, in seconds.")
def main(url: str, models: tuple[str, ...], rounds: int, clients: int, crowd_s: float) -> None:
    """Ask the models of a swap group in turn, and all at once."""
    sys.exit(not asyncio.run(measure(url, models, rounds, clients, crowd_s)))


if __name__ == "__main__":
    main()
