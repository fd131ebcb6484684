"""
The client, in a process of its own so that its CPU is nobody's: `python -m bench.load SCENARIO HOST PORT,PORT... KEY`.

It loads the server until its standard input ends. Each line it reads there is answered with one line of JSON, a
`Marked`: the counts since the line before.
"""

import asyncio
import itertools
import json
import random
import sys
import time
from dataclasses import asdict
from typing import cast

import httptools
import uvloop

from bench.answers import Answer, OneShotAnswer, StreamAnswer
from bench.measured import Marked
from bench.scenarios import BY_NAME, THINK_MS, Scenario

ANSWER_TIMEOUT_S = 120.0
RETRY_PAUSE_S = 0.1
"""After a failure, so that a server that is gone is not hammered."""


class Client(asyncio.Protocol):
    """One connection in a closed loop. It is also its own HTTP parser's callback object."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: Answer | None = None
        self._asked_at = 0.0
        self._has_token = False
        self._has_failed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def _ask(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._answer = self._load.new_answer()
        self._has_token = False
        self._transport.write(self._load.next_request())
        self._asked_at = time.monotonic()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"broken HTTP: {error}")

    def on_body(self, body: bytes) -> None:
        if self._answer is None or self._parser.get_status_code() != 200:
            return
        num_tokens = self._answer.feed(body)
        if num_tokens and not self._has_token:
            self._has_token = True
            self._load.marked.ttft_ms.append((time.monotonic() - self._asked_at) * 1000)
        self._load.marked.num_tokens += num_tokens

    def on_message_complete(self) -> None:
        answer, self._answer = self._answer, None
        if answer is None:
            self._fail("an answer to nothing")
        elif (status := self._parser.get_status_code()) != 200:
            self._fail(f"status {status}")
        elif problem := answer.problem():
            self._fail(problem)
        else:
            self._load.complete(self._asked_at)
            if self._parser.should_keep_alive():
                asyncio.get_running_loop().call_later(random.uniform(0, 2 * THINK_MS / 1000), self._ask)

    def _fail(self, reason: str) -> None:
        self._answer = None
        self._has_failed = True
        self._load.fail(reason)
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None:
            self._answer = None
            self._load.fail(f"connection closed within a request: {exc or 'end of stream'}")
            self._has_failed = True
        self._transport = None
        self._load.replace(self, RETRY_PAUSE_S if self._has_failed else 0.0)

    def close(self) -> None:
        if self._transport is not None:
            self._answer = None
            self._transport.abort()

    def check_timeout(self) -> None:
        if self._answer is not None and time.monotonic() - self._asked_at > ANSWER_TIMEOUT_S:
            self._fail(f"no whole answer in {ANSWER_TIMEOUT_S:.0f} s")


class Load:
    """All the clients of one scenario, and their counts."""

    def __init__(self, scenario: Scenario, host: str, ports: list[int], key: str) -> None:
        self.marked = Marked()
        self._scenario = scenario
        self._host = host
        self._ports = itertools.cycle(ports)
        self._head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}:{ports[0]}\r\nauthorization: Bearer {key}\r\n"
            "content-type: application/json\r\naccept: */*\r\nuser-agent: enginehouse-bench\r\n"
        ).encode()
        self._numbers = itertools.count(random.randrange(10**9))
        self._clients: set[Client] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def new_answer(self) -> Answer:
        kind = StreamAnswer if self._scenario.stream else OneShotAnswer
        return kind(self._scenario.num_tokens)

    def next_request(self) -> bytes:
        body = self._scenario.request_body(next(self._numbers))
        return self._head + b"content-length: %d\r\n\r\n" % len(body) + body

    def complete(self, asked_at: float) -> None:
        self.marked.num_requests += 1
        if not self._scenario.stream:
            self.marked.num_tokens += self._scenario.num_tokens
            self.marked.ttft_ms.append((time.monotonic() - asked_at) * 1000)

    def fail(self, reason: str) -> None:
        self.marked.errors[reason] = self.marked.errors.get(reason, 0) + 1

    def replace(self, client: Client, delay_s: float) -> None:
        self._clients.discard(client)
        if not self._is_stopping:
            self.start(delay_s)

    def start(self, delay_s: float) -> None:
        task = asyncio.get_running_loop().create_task(self._connect(delay_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        self._is_stopping = True
        for client in tuple(self._clients):
            client.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.sleep(0)

    async def _connect(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        client = Client(self)
        try:
            await asyncio.get_running_loop().create_connection(lambda: client, self._host, next(self._ports))
        except OSError as error:
            self.fail(f"cannot connect: {error.strerror}")
            self.replace(client, RETRY_PAUSE_S)
        else:
            self._clients.add(client)

    async def run(self) -> None:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        for number in range(self._scenario.num_clients):
            self.start(self._scenario.ramp_s * number / self._scenario.num_clients)
        while await reader.readline():
            for client in tuple(self._clients):
                client.check_timeout()
            marked, self.marked = self.marked, Marked()
            sys.stdout.write(json.dumps(asdict(marked)) + "\n")
            sys.stdout.flush()


def main() -> None:
    scenario, host, ports, key = sys.argv[1:]
    uvloop.run(Load(BY_NAME[scenario], host, [int(port) for port in ports.split(",")], key).run())


if __name__ == "__main__":
    main()
