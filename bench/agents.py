"""Agents that work on their tasks turn after turn, and what they see of it."""

import asyncio
import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bench.scenarios import MODEL

ANSWER_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Work:
    """What the agents do. Sizes in characters; a turn adds `turn_chars` to the prompt."""

    num_agents: int
    """Conversations that are under way at once."""
    num_tasks: int
    """Conversations in all."""
    num_turns: int
    num_systems: int
    """Different system prompts, which the tasks share."""
    system_chars: int
    turn_chars: int
    num_tokens: int
    """Of each answer."""
    think_s: float
    """Mean time between an answer and the next turn, in which tools run."""
    is_hot: bool = False
    """Whether all tasks are one and the same, up to the first answer."""


AGENTS = Work(
    num_agents=48, num_tasks=96, num_turns=25, num_systems=3, system_chars=18_000, turn_chars=2000, num_tokens=40,
    think_s=0.6,
)  # fmt: skip
"""Prompts of 20 to 70 KB."""
HOT = Work(
    num_agents=64, num_tasks=256, num_turns=5, num_systems=1, system_chars=30_000, turn_chars=1000, num_tokens=60,
    think_s=0.05, is_hot=True,
)  # fmt: skip
SMALL = Work(
    num_agents=4, num_tasks=8, num_turns=5, num_systems=2, system_chars=2400, turn_chars=450, num_tokens=8, think_s=0.2
)
"""For a small model on a CPU: prompts of 600 to 1,200 tokens."""

_WORDS = ("queue", "index", "parse", "token", "cache", "merge", "graph", "shard", "lease", "batch", "route", "probe")


def _text(chance: random.Random, num_chars: int) -> str:
    words = chance.choices(_WORDS, k=num_chars // 5)
    return " ".join(words)[:num_chars]


@dataclass(slots=True)
class Seen:
    """What all agents saw of one way to serve them."""

    num_requests: int = 0
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    num_reusable_tokens: int = 0
    """Of the prompts: what the same conversation, or another with the same system prompt, had sent before."""
    num_reused_tokens: int = 0
    ttft_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def reuse_ratio(self) -> float:
        return self.num_reused_tokens / max(1, self.num_reusable_tokens)

    def ttft(self, percent: int) -> float:
        """A percentile of the time to the first token, in milliseconds."""
        return statistics.quantiles(self.ttft_ms, n=100, method="inclusive")[percent - 1]


class Agents:
    """`urls` are routers; each turn goes to one by chance. Another `subject` is the same work on other texts."""

    def __init__(self, work: Work, urls: Sequence[str], session: aiohttp.ClientSession, subject: int = 0) -> None:
        self.seen = Seen()
        self._num_begun = 0
        self._turn_begun = asyncio.Condition()
        self._work = work
        self._urls = urls
        self._session = session
        self._chance = random.Random(7)  # the same work for every way to serve it
        self._first = subject * work.num_tasks
        systems = range(self._first, self._first + work.num_systems)
        self._systems = [_text(random.Random(number), work.system_chars) for number in systems]
        self._num_system_tokens: dict[int, int] = {}
        """Of system prompts that some replica has read."""
        self._tasks = iter(range(work.num_tasks))

    async def run(self) -> Seen:
        await asyncio.gather(*(self._agent() for _ in range(self._work.num_agents)))
        return self.seen

    async def have_done(self, num_turns: int) -> None:
        """Wait until so many turns have begun."""
        async with self._turn_begun:
            await self._turn_begun.wait_for(lambda: self._num_begun >= num_turns)

    async def _agent(self) -> None:
        await asyncio.sleep(self._chance.uniform(0, 2 * self._work.think_s))
        for task in self._tasks:
            await self._converse(task)

    async def _converse(self, task: int) -> None:
        work = self._work
        chance = random.Random(self._first + task)
        number = task % work.num_systems
        question = "Mend it." if work.is_hot else _text(chance, work.turn_chars)
        messages = [{"role": "system", "content": self._systems[number]}, {"role": "user", "content": question}]
        if work.is_hot:
            messages += [{"role": "assistant", "content": "Yes."}, {"role": "user", "content": _text(chance, 200)}]
        num_reusable = self._num_system_tokens.get(number, 0)
        for _ in range(work.num_turns):
            num_prompt_tokens = await self._turn(messages, num_reusable)
            num_reusable = num_prompt_tokens or num_reusable
            if num_prompt_tokens and number not in self._num_system_tokens:
                share = work.system_chars / sum(len(message["content"]) for message in messages)
                self._num_system_tokens[number] = int(num_prompt_tokens * share)
            messages.append({"role": "assistant", "content": _text(chance, 200)})
            messages.append({"role": "user", "content": _text(chance, work.turn_chars - 200)})
            await asyncio.sleep(chance.expovariate(1 / work.think_s))

    async def _turn(self, messages: list[dict[str, str]], num_reusable: int) -> int:
        """The prompt's tokens; 0 when it failed."""
        body = {
            "model": MODEL, "messages": messages, "max_tokens": self._work.num_tokens, "temperature": 0,
            "stream": True, "stream_options": {"include_usage": True}, "cache_prompt": True,
        }  # fmt: skip
        self.seen.num_requests += 1
        self._num_begun += 1
        async with self._turn_begun:
            self._turn_begun.notify_all()
        try:
            usage = await self._ask(json.dumps(body).encode())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self.seen.errors.append(repr(error))
            return 0
        num_cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        self.seen.num_prompt_tokens += usage["prompt_tokens"]
        self.seen.num_cached_tokens += num_cached
        self.seen.num_reusable_tokens += num_reusable
        self.seen.num_reused_tokens += min(num_reusable, num_cached)
        return int(usage["prompt_tokens"])

    async def _ask(self, body: bytes) -> dict[str, Any]:
        """The answer's usage."""
        began = time.monotonic()
        text = b""
        ttft_s: float | None = None
        async with self._session.post(self._chance.choice(self._urls) + "/v1/chat/completions", data=body) as answer:
            answer.raise_for_status()
            async for part in answer.content.iter_any():
                text += part
                if ttft_s is None and b'"content":"' in text.replace(b'"content":""', b""):
                    ttft_s = time.monotonic() - began
        events = [line.removeprefix(b"data: ") for line in text.split(b"\n") if line.startswith(b"data: {")]
        usage: dict[str, Any] | None = next(
            (found for event in reversed(events) if (found := json.loads(event).get("usage"))), None
        )
        if usage is None or ttft_s is None:
            raise ValueError(text[-200:])
        self.seen.ttft_ms.append(ttft_s * 1000)
        return usage
