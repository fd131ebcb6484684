"""The response cache of a whole house: two routers, one Redis, the OpenAI SDK."""

import asyncio
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import house_processes
import openai
import pytest
from house import ROOT, House, open_house
from house_files import free_port, model, router, serve_file
from redis_server import RedisServer
from waiting import DEADLINE_S, eventually

pytestmark = pytest.mark.soak

SECRETS = {"CACHE_SIGNING_KEY": "a secret for the tests' own entries"}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def caching(redis: RedisServer) -> Iterator[House]:
    """Two routers on one port that share a Redis, and one replica of the simulated engine."""
    table = router(free_port(), {"simulated": ["default"]}, num_replicas=2)
    store = {"type": "redis", "address": redis.address, "signing_key_env": "CACHE_SIGNING_KEY"}
    table["deployments"][0]["user_config"]["models"]["simulated"]["cache"] = {"mode": "always"}
    table["args"]["cache"] = {"store": {**store, "lookup_budget_ms": 5000}}
    with open_house(serve_file(table, [model("simulated")]), SECRETS) as house:
        yield house


def sdk(house: House) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=house.base_url, api_key="none", max_retries=0, timeout=60)


async def ask(client: openai.AsyncOpenAI, prompt: str, *, stream: bool = False) -> tuple[str, str]:
    """The answer's text, and what the cache did."""
    extra = {"simulated": {"num_tokens": 8, "inter_token_ms": 0, "prefill_base_ms": 0}}
    if not stream:
        raw = await client.completions.with_raw_response.create(
            model="default", prompt=prompt, temperature=0, max_tokens=16, extra_body=extra
        )
        return raw.parse().choices[0].text, raw.headers["x-enginehouse-cache"]
    opened = await client.completions.with_raw_response.create(
        model="default", prompt=prompt, temperature=0, max_tokens=16, extra_body=extra, stream=True
    )
    text = "".join([chunk.choices[0].text async for chunk in opened.parse()])
    return text, opened.headers["x-enginehouse-cache"]


def command(house: House, *words: str) -> str:
    """What `enginehouse cache` prints, as the operator runs it: with the Ray address that the house has told."""
    address = re.search(r"Ray address: (\S+)", house.output())
    assert address
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli", "cache", *words, "--address", address[1]],
        cwd=ROOT, env=house.environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_question_whether_a_model_answers_is_not_for_the_cache(caching: House) -> None:
    """`enginehouse serve` wants to hear of the engine, not of what another said before it."""
    shown = command(caching, "stats")
    assert 2 == shown.count("entries 0, ") == shown.count("hits 0, misses 0, ")


@dataclass(slots=True)
class Load:
    """
    Requests of which seven of ten repeat an earlier one, by eight clients at a time.

    `said` holds all texts that a prompt was ever answered with, `asked` also those that are not answered yet.
    """

    num_requests: int
    asked: set[str] = field(default_factory=set)
    said: dict[str, set[str]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def num_different(self) -> int:
        return self.num_requests * 3 // 10

    async def run(self, house: House) -> None:
        chance = random.Random(7)  # noqa: S311 - the same requests in each run
        prompts = [f"prompt {number} of {self.num_requests}" for number in range(self.num_different)]
        prompts += chance.choices(prompts, k=self.num_requests - self.num_different)
        chance.shuffle(prompts)
        # a prompt keeps its form: two that are made at the same moment in two forms are two generations
        requests = iter([(prompt, prompt[-1] in "02468") for prompt in prompts])
        async with asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(self._ask(house, requests))

    async def _ask(self, house: House, requests: Iterator[tuple[str, bool]]) -> None:
        async with sdk(house) as own:
            for prompt, stream in requests:
                self.asked.add(prompt)
                text, outcome = await ask(own, prompt, stream=stream)
                self.said.setdefault(prompt, set()).add(text)
                self.outcomes[outcome] += 1

    @property
    def num_texts(self) -> set[int]:
        """How many texts prompts were answered with: once is right."""
        return {len(texts) for texts in self.said.values()}


async def test_every_repeat_is_a_hit(caching: House) -> None:
    """Whole or streamed, at either router, however close to the first one it comes; byte for byte."""
    load = Load(1_000)
    await load.run(caching)
    repeats = load.outcomes["hit"] + load.outcomes["joined"]
    assert ({1}, 300, 700) == (load.num_texts, load.outcomes["miss"], repeats)


async def test_repeats_are_byte_identical_and_survive_redis(caching: House, redis: RedisServer) -> None:
    """Redis is killed and started again twice in between: nothing fails, and every repeat says what the first said."""
    load = Load(10_000)
    misses: list[tuple[int, int]] = []

    async def disturb() -> None:
        for share in (0.3, 0.6):
            await eventually(f"{share:.0%} are answered", lambda share=share: load.outcomes.total() > share * 10_000)  # type: ignore[misc]
            misses.append((load.outcomes["miss"], len(load.asked)))
            await asyncio.to_thread(redis.kill)
            gone_at = load.outcomes.total()
            await eventually(
                "some are answered without it", lambda gone_at=gone_at: load.outcomes.total() > gone_at + 50
            )  # type: ignore[misc]
            await asyncio.to_thread(redis.start)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(disturb())
        tasks.create_task(load.run(caching))
    assert (10_000, 3_000, {1}) == (load.outcomes.total(), len(load.said), load.num_texts)
    (num_misses, num_different), _ = misses
    assert num_misses <= num_different < 3_000  # what was asked again before Redis was killed was not made again
    async with sdk(caching) as client, asyncio.timeout(DEADLINE_S):
        while (await ask(client, "after all of it"))[1] != "hit":
            pass  # until the router has noticed that Redis is back, and kept the answer


async def test_what_one_router_keeps_the_other_gives(caching: House, redis: RedisServer) -> None:
    """By both of them in the end: which router answers a new connection is the kernel's choice."""
    outcomes: Counter[str] = Counter()
    for _ in range(16):
        async with sdk(caching) as client:
            outcomes[(await ask(client, "for both routers"))[1]] += 1
        await kept(redis)
    assert {"miss": 1, "hit": 15} == outcomes


async def kept(redis: RedisServer) -> None:
    """Returns once what was answered is in Redis. Routers put it there behind their clients' backs, and then let go."""
    await eventually("no router makes an answer", lambda: not redis.ask("KEYS", "*:l:*"))


NUM_TOKENS = 200
"""Of an answer that goes on until somebody was killed."""


@dataclass(slots=True)
class LongAnswer:
    """One that is streamed on a connection of its own, whose port tells which router has it: ten tokens a second."""

    num_tokens: int
    outcome: str = ""
    client_port: int = 0
    texts: list[str] = field(default_factory=list)

    async def listen(self, house: House, prompt: str) -> None:
        extra = {"simulated": {"num_tokens": self.num_tokens, "inter_token_ms": 100, "prefill_base_ms": 0}}
        async with sdk(house) as client:
            opened = await client.completions.with_raw_response.create(
                model="default", prompt=prompt, temperature=0, max_tokens=self.num_tokens, extra_body=extra, stream=True
            )
            self.outcome = opened.headers["x-enginehouse-cache"]
            self.client_port = opened.http_response.extensions["network_stream"].get_extra_info("client_addr")[1]
            async for chunk in opened.parse():
                self.texts.append(chunk.choices[0].text)


async def test_routers_share_one_generation(caching: House) -> None:
    """The same question at both of them, while it is answered, is asked of the engine once."""
    answers = [LongAnswer(3000) for _ in range(16)]
    listening = [asyncio.create_task(answer.listen(caching, "all at once")) for answer in answers]
    await eventually("every stream has begun", lambda: all(len(answer.texts) > 3 for answer in answers))
    for one in listening:
        one.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    assert {"miss": 1, "joined": 15} == Counter(answer.outcome for answer in answers)
    texts = sorted(("".join(answer.texts) for answer in answers), key=len)
    assert [] == [text for text in texts if not texts[-1].startswith(text)]


async def test_a_router_that_is_killed_hands_over(caching: House) -> None:
    """Clients of the other router hear the rest of the answer as if nothing had been."""
    routers = caching.routers()
    answers = [LongAnswer(NUM_TOKENS) for _ in range(16)]
    listening = [asyncio.create_task(answer.listen(caching, "to be handed over")) for answer in answers]
    await eventually("every stream has begun", lambda: all(len(answer.texts) > 3 for answer in answers))
    ports = {router: house_processes.clients(router, caching.port) for router in routers}
    (leader,) = [answer.client_port for answer in answers if answer.outcome == "miss"]
    (victim,) = [router for router, clients in ports.items() if leader in clients]
    victim.kill()
    ended = await asyncio.gather(*listening, return_exceptions=True)
    others = [answer for answer in answers if answer.client_port not in ports[victim]]
    failed = [answer for answer, end in zip(answers, ended, strict=True) if end is not None]
    assert others, "the kernel gave every stream to one router"
    assert len(failed) == len(answers) - len(others)
    texts = {"".join(one.texts) for one in others}
    assert [NUM_TOKENS * 4] == [len(text) for text in texts]
    caching.wait_whole()


async def test_the_operator_looks_and_empties(caching: House, redis: RedisServer) -> None:
    """`enginehouse cache` finds the house by its Ray address; what is purged is made anew."""
    async with sdk(caching) as client:
        await ask(client, "to be forgotten")
        await kept(redis)
        before = (await ask(client, "to be forgotten"))[1]
        shown = await asyncio.to_thread(command, caching, "stats")
        told = await asyncio.to_thread(command, caching, "purge", "--model", "simulated")
        after = (await ask(client, "to be forgotten"))[1]
    assert ("hit", "miss") == (before, after)
    assert ["router 1: ", "router 2: "] == [line[:10] for line in shown.splitlines()]
    assert re.fullmatch(r"[1-9]\d* answers forgotten\n", told)
