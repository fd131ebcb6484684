"""Clients that ask a house without pause, and keep account of every answer."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

import aiohttp
import openai
from house_files import KEYS

PROMPT = "The house on the hill"
THINK_S = 0.02
"""A client's pause between two requests, in seconds: a connection is idle often enough to be closed as such."""


class Served(Protocol):
    """Whoever answers at an address that ends with `/v1`."""

    @property
    def base_url(self) -> str: ...


@dataclass(slots=True)
class Outcome:
    """One answer as far as it came. `error` is what the SDK raised. `asked_at` is monotonic time, in a load."""

    text: str = ""
    num_chunks: int = 0
    finish_reason: str | None = None
    error: Exception | None = None
    asked_at: float = 0.0

    @property
    def is_whole(self) -> bool:
        return self.error is None and self.finish_reason is not None


@dataclass(frozen=True, slots=True)
class Pace:
    """How the simulated engine shall answer: so many tokens, the first after `prefill_ms`, then one each `token_ms`."""

    num_tokens: int
    token_ms: float = 0.0
    prefill_ms: float = 0.0

    @property
    def extra_body(self) -> dict[str, object]:
        pace = {"inter_token_ms": self.token_ms, "prefill_base_ms": self.prefill_ms}
        return {"simulated": {"num_tokens": self.num_tokens, **pace}}


def sdk(house: Served) -> openai.AsyncOpenAI:
    """The SDK, which must not hide a failure by trying again."""
    return openai.AsyncOpenAI(base_url=house.base_url, api_key=KEYS[0], max_retries=0, timeout=120)


async def whole(client: openai.AsyncOpenAI, pace: Pace) -> Outcome:
    """One answer that is not streamed."""
    try:
        answer = await client.completions.create(model="simulated", prompt=PROMPT, extra_body=pace.extra_body)
    except openai.APIError as error:
        return Outcome(error=error)
    return Outcome(answer.choices[0].text, 1, answer.choices[0].finish_reason)


async def whole_on_new_connection(house: Served) -> Outcome:
    """One short answer on a connection of its own."""
    body = {"model": "simulated", "prompt": PROMPT, **Pace(5).extra_body}
    headers = {"authorization": f"Bearer {KEYS[0]}", "connection": "close"}
    try:
        async with aiohttp.request("POST", f"{house.base_url}/completions", json=body, headers=headers) as answer:
            document = await answer.json()
    except aiohttp.ClientError as error:
        return Outcome(error=error)
    choice = document["choices"][0] if answer.status == 200 else {"text": str(document), "finish_reason": None}
    return Outcome(choice["text"], 1, choice["finish_reason"])


async def streamed(client: openai.AsyncOpenAI, pace: Pace, outcome: Outcome, model: str = "simulated") -> Outcome:
    """One streamed answer, in `outcome` as it comes."""
    try:
        stream = await client.completions.create(model=model, prompt=PROMPT, extra_body=pace.extra_body, stream=True)
        async for chunk in stream:
            outcome.num_chunks += 1
            outcome.text += chunk.choices[0].text
            outcome.finish_reason = chunk.choices[0].finish_reason or outcome.finish_reason
    except openai.APIError as error:
        outcome.error = error
    return outcome


@dataclass(slots=True)
class Load:
    """The answers that ended while a load was on."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if not outcome.is_whole]

    def num_with(self, text: str) -> int:
        return sum(outcome.text == text for outcome in self.outcomes)


@asynccontextmanager
async def load(house: Served, num_clients: int, pace: Pace) -> AsyncIterator[Load]:
    """
    So many clients of three kinds, which ask again and again: for a whole answer and for a stream, each on a
    connection that it keeps, and for a whole answer on a new connection each time.

    At the end each finishes the answer that it waits for.
    """
    account = Load()
    is_over = asyncio.Event()
    connections = [sdk(house) for _ in range(2 * num_clients)]

    async def client(ask: Callable[[], Coroutine[Any, Any, Outcome]]) -> None:
        while not is_over.is_set():
            asked_at = monotonic()
            outcome = await ask()
            outcome.asked_at = asked_at
            account.outcomes.append(outcome)
            await asyncio.sleep(THINK_S)

    async with asyncio.TaskGroup() as clients:
        for own in connections[:num_clients]:
            clients.create_task(client(lambda own=own: whole(own, Pace(5, pace.token_ms))))  # type: ignore[misc]
        for own in connections[num_clients:]:
            clients.create_task(client(lambda own=own: streamed(own, pace, Outcome())))  # type: ignore[misc]
        for _ in range(num_clients):
            clients.create_task(client(lambda: whole_on_new_connection(house)))
        try:
            yield account
        finally:
            is_over.set()
    for own in connections:
        await own.close()
