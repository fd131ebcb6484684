"""Streams of engines that are killed in the middle: the other engine goes on with the text so far."""

import asyncio

import openai
import pytest
from house import House
from house_processes import EngineProcess
from streaming_load import sdk
from waiting import eventually

pytestmark = pytest.mark.houses

QUESTIONS = [f"Tell me about {each}." for each in ("rivers", "iron", "the sea", "bread")]
NUM_TOKENS = 32


async def test_chats_of_a_killed_llama_cpp_go_on(laptop: House) -> None:
    """
    Each client has one whole answer with the right counts, and its words are those that nobody interrupted.

    One may have other words: an engine's arithmetic differs a little with what else it computes at the moment.
    """
    async with sdk(laptop) as client:
        undisturbed = [await _told(client, "twins", question) for question in QUESTIONS]
        told = await _told_across_a_kill(client, "twins", laptop.engines("twins")[0])
    assert [NUM_TOKENS] * len(QUESTIONS) == [num_tokens for _, num_tokens in told]
    assert sum(one == other for one, other in zip(undisturbed, told, strict=True)) >= len(QUESTIONS) - 1
    laptop.wait_whole()


async def test_chats_of_a_killed_simulated_engine_go_on(pair: House) -> None:
    """The same on the engine of the load tests, whose chats are continued as vLLM's are."""
    async with sdk(pair) as client:
        undisturbed = [await _told(client, "simulated", question) for question in QUESTIONS]
        told = await _told_across_a_kill(client, "simulated", pair.engines()[0])
    assert undisturbed == told
    pair.wait_whole()


async def _told_across_a_kill(client: openai.AsyncOpenAI, model: str, victim: EngineProcess) -> list[tuple[str, int]]:
    """What is answered while an engine dies under half of the streams, after every one of them has begun."""
    heard: list[list[str]] = [[] for _ in QUESTIONS]
    listening = [asyncio.create_task(_told(client, model, *each)) for each in zip(QUESTIONS, heard, strict=True)]
    await eventually("every stream has begun", lambda: all(len(texts) > 3 for texts in heard))
    victim.process.kill()
    return await asyncio.gather(*listening)


async def _told(
    client: openai.AsyncOpenAI, model: str, question: str, heard: list[str] | None = None
) -> tuple[str, int]:
    """The answer's text and its number of tokens; it has one id and one role."""
    texts = [] if heard is None else heard
    stream = await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], temperature=0, max_tokens=NUM_TOKENS,
        stream=True, stream_options={"include_usage": True},
        extra_headers={"x-enginehouse-cache": "off"},
        extra_body={"simulated": {"inter_token_ms": 30}} if model == "simulated" else None,
    )  # fmt: skip
    ids, roles, num_tokens = set(), [], 0
    async for chunk in stream:
        ids.add(chunk.id)
        num_tokens = chunk.usage.completion_tokens if chunk.usage else num_tokens
        for choice in chunk.choices:
            roles += [choice.delta.role] if choice.delta.role else []
            texts.append(choice.delta.content or "")
    assert (1, ["assistant"]) == (len(ids), roles)
    return "".join(texts), num_tokens
