"""Models whose number of replicas follows what is asked of them, down to none. `make test` has no time for it."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic

import aiohttp
import openai
import pytest
from house import House, open_house
from house_files import free_port, model, router, scaled, serve_file, with_fallbacks
from streaming_load import Outcome, Pace, sdk, streamed, whole
from waiting import DEADLINE_S, eventually

MAX_WAITING = 3


@pytest.fixture(scope="module")
def scaling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """
    `simulated` sleeps after two seconds, and takes three to load; its clients get headers after one.

    `covered` sleeps, too, and has a fallback that does not. `busy` has one replica for two requests each, three at
    most; `punctual` one for any number, as long as streams begin in time. Decisions are without delay.
    """
    sleepy = {"min_replicas": 0, "max_replicas": 2, "target_ongoing_requests": 100, "downscale_delay_s": 2}
    prompt = {"upscale_delay_s": 1, "downscale_delay_s": 4, "look_back_period_s": 2, "metrics_interval_s": 1}
    by_ttft = scaled(model("punctual", prefill_base_ms=300), max_replicas=2, target_ongoing_requests=1000, **prompt)
    by_ttft["deployments"][0]["autoscaling_config"]["policy"]["policy_kwargs"] = {"target_ttft_s": 0.1}
    table = router(free_port(), {"simulated": [], "spare": [], "covered": [], "busy": [], "punctual": []})
    with_fallbacks(table, covered=["spare"])
    table["args"]["batches"] = {"store": {"type": "folder", "path": str(tmp_path_factory.mktemp("batches"))}}
    config = table["deployments"][0]["user_config"]
    config["models"]["simulated"]["wake"] = {"timeout_s": 180, "max_waiting": MAX_WAITING}
    config["requests"] = {"early_headers_s": 1, "replica_wait_s": 1}
    applications = [
        scaled(model("simulated", start_delay_s=3), **sleepy),
        scaled(model("covered"), **sleepy),
        model("spare"),
        scaled(model("busy"), max_replicas=3, target_ongoing_requests=2, **prompt),
        by_ttft,
    ]
    with open_house(serve_file(table, applications)) as house:
        yield house


@pytest.fixture
async def asleep(scaling: House) -> House:
    await eventually("nobody is awake", lambda: not scaling.engines("simulated") + scaling.engines("covered"))
    return scaling


@dataclass(slots=True)
class RawStream:
    """What came of a stream, and when: monotonic times, in seconds."""

    status: int = 0
    head_at: float = 0.0
    text_at: float = 0.0
    num_comments: int = 0
    texts: list[str] = field(default_factory=list)
    is_done: bool = False

    async def run(self, house: House) -> None:
        body = {"model": "simulated", "prompt": "Wake up", "stream": True, "max_tokens": 8}
        async with aiohttp.request("POST", f"{house.base_url}/completions", json=body) as answer:
            self.status, self.head_at = answer.status, monotonic()
            async for line in answer.content:
                self._read(line)

    def _read(self, line: bytes) -> None:
        if line.startswith(b": keep-alive"):
            self.num_comments += 1
        elif line.startswith(b"data: [DONE]"):
            self.is_done = True
        elif line.startswith(b"data: "):
            self.text_at = self.text_at or monotonic()
            self.texts.append(json.loads(line[6:])["choices"][0]["text"])


async def test_a_request_wakes_a_model(asleep: House) -> None:
    """It is answered once there is a replica, which goes again when nobody asks any more."""
    num_before = asleep.num_started("simulated")
    async with sdk(asleep) as client:
        outcome = await whole(client, Pace(5))
    assert outcome.is_whole, outcome.error
    assert num_before + 1 == asleep.num_started("simulated")
    await eventually("it sleeps again", lambda: not asleep.engines("simulated"))


async def test_a_stream_is_held_until_its_model_is_awake(asleep: House) -> None:
    """Its client gets headers and keep-alive comments meanwhile, and then the whole answer."""
    stream = RawStream()
    await stream.run(asleep)
    assert (200, 8, True) == (stream.status, len(stream.texts), stream.is_done)
    assert stream.num_comments >= 1
    assert stream.head_at < stream.text_at


async def test_no_more_wait_than_may(asleep: House) -> None:
    """The fourth of four is told to come back; the three are answered."""
    async with sdk(asleep) as client:
        outcomes = await asyncio.gather(*[whole(client, Pace(5)) for _ in range(MAX_WAITING + 1)])
    (refused,) = [outcome.error for outcome in outcomes if not outcome.is_whole]
    assert isinstance(refused, openai.InternalServerError)
    assert (503, "engine_overloaded", "5") == (
        refused.status_code, refused.code, refused.response.headers["retry-after"]
    )  # fmt: skip


async def test_a_client_that_leaves_lets_the_model_sleep(asleep: House) -> None:
    """What woke it is gone before it is awake: it comes, and goes."""
    waiting = asyncio.create_task(RawStream().run(asleep))
    await eventually("it is waking", lambda: asleep.engines("simulated"))
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await eventually("it sleeps again", lambda: not asleep.engines("simulated"))


async def test_a_fallback_answers_while_a_model_wakes(asleep: House) -> None:
    """Nobody waits for it, and it wakes all the same."""
    async with sdk(asleep) as client:
        answer = await client.completions.create(model="covered", prompt="Hi", max_tokens=2)
    assert answer.choices[0].finish_reason == "length"
    await eventually("it is awake", lambda: asleep.engines("covered"))


async def test_a_batch_wakes_a_model(asleep: House) -> None:
    """Its lines wait for a slot, and a model that sleeps has none."""
    line = {"custom_id": "1", "method": "POST", "url": "/v1/completions"}
    content = json.dumps({**line, "body": {"model": "simulated", "prompt": "Hi", "max_tokens": 2}}).encode()
    async with sdk(asleep) as client:
        given = await client.files.create(file=("lines.jsonl", content), purpose="batch")
        batch = await client.batches.create(input_file_id=given.id, endpoint="/v1/completions", completion_window="24h")
        await eventually("it is awake", lambda: asleep.engines("simulated"))
        async with asyncio.timeout(DEADLINE_S):
            while batch.status != "completed":
                batch = await client.batches.retrieve(batch.id)
                await asyncio.sleep(0.1)
    assert batch.request_counts is not None
    assert 1 == batch.request_counts.completed


async def test_replicas_come_with_the_load_and_go_after_it(scaling: House) -> None:
    """Five streams for two a replica need three; when they are over one is left, and no stream was broken."""
    await eventually("it is idle", lambda: len(scaling.engines("busy")) == 1)
    outcomes: list[Outcome] = []
    have_come = asyncio.Event()
    async with sdk(scaling) as client:

        async def ask() -> None:
            while not have_come.is_set():
                outcomes.append(await streamed(client, Pace(100, token_ms=100), Outcome(), "busy"))

        asking = [asyncio.create_task(ask()) for _ in range(5)]
        await eventually("three replicas run", lambda: len(scaling.engines("busy")) == 3)
        have_come.set()
        await asyncio.gather(*asking)
        await eventually("one replica is left", lambda: len(scaling.engines("busy")) == 1)
        outcomes.append(await streamed(client, Pace(3), Outcome(), "busy"))
    assert [True] * len(outcomes) == [outcome.is_whole for outcome in outcomes]


async def test_replicas_come_when_streams_begin_too_late(scaling: House) -> None:
    """One request at a time is no load; but each takes three times as long to begin as somebody wants to wait."""
    await eventually("it is idle", lambda: len(scaling.engines("punctual")) == 1)
    async with sdk(scaling) as client:

        async def ask() -> None:
            while len(scaling.engines("punctual")) < 2:
                stream = await client.completions.create(model="punctual", prompt="x", max_tokens=2, stream=True)
                async for _ in stream:
                    pass

        await asyncio.wait_for(ask(), DEADLINE_S)
    await eventually("one replica is left", lambda: len(scaling.engines("punctual")) == 1)
