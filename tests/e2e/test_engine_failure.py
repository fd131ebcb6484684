"""Engines that die under load: what had no byte yet succeeds, what had one goes on elsewhere, nothing is short."""

import asyncio
from collections.abc import Callable

import openai
import psutil
import pytest
from house import House
from house_processes import EngineProcess
from streaming_load import Outcome, Pace, sdk, streamed, whole
from waiting import eventually, wait_for

LONG = Pace(100, token_ms=50)
"""Under way when the engine dies."""
LATE = Pace(100, token_ms=1, prefill_ms=4000)
"""Accepted by the engine, but without a byte, when it dies."""


def engine_itself(house: House, engine: EngineProcess) -> psutil.Process:
    return engine.process


def its_replica(house: House, engine: EngineProcess) -> psutil.Process:
    return house.owner_of(engine)


@pytest.mark.parametrize("victim_of", [engine_itself, its_replica])
async def test_a_killed_engine_under_32_requests(
    pair: House, victim_of: Callable[[House, EngineProcess], psutil.Process]
) -> None:
    """SIGKILL of an engine, or of its replica: every client has its answer, word for word, those of streams as well."""
    victim, survivor = pair.engines()
    begun = [Outcome() for _ in range(8)]
    async with sdk(pair) as client:
        expected = (await whole(client, Pace(100))).text
        others = [asyncio.create_task(whole(client, LONG)) for _ in range(16)]
        others += [asyncio.create_task(streamed(client, LATE, Outcome())) for _ in range(8)]
        streams = [asyncio.create_task(streamed(client, LONG, outcome)) for outcome in begun]
        await eventually("every stream has begun", lambda: all(outcome.num_chunks for outcome in begun))
        victim_of(pair, victim).kill()
        outcomes = await asyncio.gather(*others)
        await asyncio.gather(*streams)
    assert [expected] * 24 == [outcome.text for outcome in outcomes], [outcome.error for outcome in outcomes]
    assert [expected] * 8 == [outcome.text for outcome in begun], [outcome.error for outcome in begun]
    assert [True] * 8 == [outcome.is_whole for outcome in begun]
    wait_for("the victim is gone", lambda: victim.pid not in [engine.pid for engine in pair.engines()])
    pair.wait_whole()
    assert survivor.pid in [engine.pid for engine in pair.engines()]


async def test_a_killed_llama_cpp_under_32_requests(laptop: House) -> None:
    """SIGKILL of one of two llama.cpp processes: every request succeeds, and no stream is short."""
    victim, _ = laptop.engines("twins")
    streams = [Outcome() for _ in range(16)]
    async with sdk(laptop) as client:
        stories = [asyncio.create_task(_streamed_story(client, outcome)) for outcome in streams]
        wholes = [asyncio.create_task(_whole_story(client)) for _ in range(16)]
        # Each replica has four slots, so of five streams under way at least one is the victim's.
        await eventually("five streams are under way", lambda: sum(map(_is_under_way, streams)) >= 5)
        victim.process.kill()
        assert [8] * 16 == await asyncio.gather(*wholes)
        await asyncio.gather(*stories)
    assert ["length"] * 16 == [outcome.finish_reason for outcome in streams], [one.error for one in streams]
    laptop.wait_whole()


async def test_greedy_streams_outlive_their_engine(pair: House) -> None:
    """Clients of a killed engine hear the rest of their answers from the other one, word for word."""
    prompts = [f"{STORY}, in the year {year}," for year in range(1901, 1913)]
    heard: list[list[str]] = [[] for _ in prompts]
    victim, _ = pair.engines()
    async with sdk(pair) as client:
        listening = [asyncio.create_task(_greedy(client, *each, 50)) for each in zip(prompts, heard, strict=True)]
        await eventually("every stream has begun", lambda: all(len(texts) > 3 for texts in heard))
        victim.process.kill()
        told = await asyncio.gather(*listening)
        undisturbed = [await _greedy(client, prompt, [], 0) for prompt in prompts]
    assert undisturbed == told
    pair.wait_whole()


async def _greedy(client: openai.AsyncOpenAI, prompt: str, texts: list[str], token_ms: int) -> str:
    stream = await client.completions.create(
        model="simulated", prompt=prompt, temperature=0, stream=True,
        extra_body={"simulated": {"num_tokens": 60, "inter_token_ms": token_ms}},
    )  # fmt: skip
    async for chunk in stream:
        texts.append(chunk.choices[0].text)  # noqa: PERF401 - others look at them meanwhile
    return "".join(texts)


def _is_under_way(outcome: Outcome) -> bool:
    return outcome.num_chunks > 0 and outcome.finish_reason is None


STORY = "Once upon a time"
NO_END = {"0": -100, "2": -100}
"""The two tokens that would end a story early are ruled out."""


async def _whole_story(client: openai.AsyncOpenAI) -> int:
    answer = await client.completions.create(model="twins", prompt=STORY, logit_bias=NO_END, max_tokens=8)
    return answer.usage.completion_tokens if answer.usage else 0


async def _streamed_story(client: openai.AsyncOpenAI, outcome: Outcome) -> None:
    try:
        async for chunk in await client.completions.create(
            model="twins", prompt=STORY, logit_bias=NO_END, max_tokens=32, stream=True
        ):
            outcome.num_chunks += 1
            outcome.finish_reason = chunk.choices[0].finish_reason or outcome.finish_reason
    except openai.APIError as error:
        outcome.error = error


async def test_a_crash_within_a_stream_is_an_error_event(pair: House) -> None:
    """An engine that exits within a stream that none can go on with breaks it with an error, and is replaced."""
    before = {engine.pid for engine in pair.engines()}
    command = {"simulated": {"num_tokens": 50, "inter_token_ms": 10, "exit_after_tokens": 5}}
    async with sdk(pair) as client:
        stream = aiter(
            await client.completions.create(model="simulated", prompt="Hi", echo=True, extra_body=command, stream=True)
        )
        for _ in range(5):
            assert (await anext(stream)).choices[0].finish_reason is None
        with pytest.raises(openai.APIError) as broken:
            await anext(stream)
    assert "engine_failed" == broken.value.code
    wait_for("it is gone", lambda: len(before & {engine.pid for engine in pair.engines()}) == 1)
    pair.wait_whole()
