"""
Tokens a second, TTFT and ITL of one model at rising concurrency, by several ways to it in turn.

    python -m bench.throughput --model NAME direct=http://HOST:PORT,KEY router=http://HOST:PORT,KEY

Each level is measured on every way before the next level begins, so that all of them see the same engine in the same
minutes. Requests are streamed chats with a prompt of about 600 characters, each of its own, and `--tokens` completion
tokens, the end of sequence ignored. Every answer is checked: its tokens are counted, and anything else is an error.
"""

import argparse
import asyncio
import itertools
import json
import random
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httptools
import uvloop

WORDS = ("queue", "index", "parse", "token", "cache", "merge", "graph", "shard", "lease", "batch", "route", "probe")
WAVES = 4
"""Requests of a level: so many times its concurrency, and MIN_REQUESTS at least."""
MIN_REQUESTS = 16


@dataclass(slots=True)
class Level:
    """One way at one concurrency. Times in milliseconds."""

    way: str
    concurrency: int
    num_requests: int = 0
    num_tokens: int = 0
    seconds: float = 0.0
    errors: list[str] = field(default_factory=list)
    ttft_ms: list[float] = field(default_factory=list)
    itl_ms: list[float] = field(default_factory=list)

    def row(self) -> dict[str, float | int | str]:
        return {
            "way": self.way,
            "concurrency": self.concurrency,
            "requests": self.num_requests,
            "errors": len(self.errors),
            "tokens_per_s": round(self.num_tokens / self.seconds, 1),
            "ttft_p50_ms": _quantile(self.ttft_ms, 50),
            "ttft_p99_ms": _quantile(self.ttft_ms, 99),
            "itl_p50_ms": _quantile(self.itl_ms, 50),
            "itl_p99_ms": _quantile(self.itl_ms, 99),
        }


def _quantile(values: list[float], percent: int) -> float:
    if len(values) < 2:
        return round(values[0], 2) if values else 0.0
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 2)


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered, as long as there is something to ask."""

    def __init__(self, level: Level, requests: "itertools.islice[bytes]", num_tokens: int) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._level = level
        self._requests = requests
        self._num_wanted = num_tokens
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._tail = b""
        self._num_seen = 0
        self._last_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        now = time.monotonic()
        self._tail = (self._tail + body)[-2000:]
        num_new = body.count(b'"content":"') - body.count(b'"content":""')
        if num_new and not self._num_seen:
            self._level.ttft_ms.append((now - self._last_at) * 1000)
            self._last_at = now
        elif num_new:
            self._level.itl_ms.extend([(now - self._last_at) * 1000 / num_new] * num_new)
            self._last_at = now
        self._num_seen += num_new

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() != 200 or not self._tail.rstrip().endswith(b"[DONE]"):
            self._level.errors.append(repr(self._tail[-200:]))
        elif b'"completion_tokens":%d' % self._num_wanted not in self._tail:
            self._level.errors.append(f"not {self._num_wanted} tokens: {self._tail[-300:]!r}")
        else:
            self._level.num_tokens += self._num_wanted
        self._level.num_requests += 1
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self._level.errors.append(f"connection lost: {exc}")
            self.over.set_result(None)

    def _ask(self) -> None:
        request = next(self._requests, None)
        if self._transport is None or request is None:
            self.over.set_result(None)
            return
        self._num_seen = 0
        self._tail = b""
        self._last_at = time.monotonic()
        self._transport.write(request)


def _request(host: str, key: str, model: str, num_tokens: int) -> bytes:
    prompt = " ".join(random.choices(WORDS, k=100))
    body = json.dumps(
        {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": num_tokens,
            "ignore_eos": True,
            "temperature": 0.8,
        }
    ).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def measure(way: str, target: str, model: str, concurrency: int, num_tokens: int) -> Level:
    url, _, key = target.partition(",")
    address = urlsplit(url)
    level = Level(way, concurrency)
    num_requests = max(MIN_REQUESTS, WAVES * concurrency)
    made = (_request(address.netloc, key, model, num_tokens) for _ in itertools.count())
    requests = itertools.islice(made, num_requests)
    loop = asyncio.get_running_loop()
    begun_at = time.monotonic()
    clients = [Client(level, requests, num_tokens) for _ in range(concurrency)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, address.hostname or "127.0.0.1", address.port or 80)  # type: ignore[misc]
    await asyncio.gather(*(client.over for client in clients))
    level.seconds = time.monotonic() - begun_at
    return level


async def run(arguments: argparse.Namespace) -> list[Level]:
    ways = dict(way.split("=", 1) for way in arguments.ways)
    levels: list[Level] = []
    for concurrency in arguments.concurrency:
        for way, target in ways.items():
            levels.append(await measure(way, target, arguments.model, concurrency, arguments.tokens))
            print(json.dumps(levels[-1].row()), flush=True)
            for error in levels[-1].errors[:2]:
                print(f"  error: {error}", file=sys.stderr)
    return levels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="+", metavar="NAME=URL,KEY")
    parser.add_argument("--model", required=True)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 32, 128, 256])
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--json", help="also write the rows there")
    arguments = parser.parse_args()
    levels = uvloop.run(run(arguments))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps([level.row() for level in levels], indent=1))
    sys.exit(any(level.errors for level in levels))


if __name__ == "__main__":
    main()
