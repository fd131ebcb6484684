"""Streams that nobody can go on with, through a router's own socket: they end as broken ones do."""

import asyncio

import pytest
from broken_streams import BROKEN, two_engines
from door import Door, OpenDoor
from polling import eventually
from scripted_engine import Ending, ScriptedEngine
from wire import (
    CHAT_STREAM,
    STREAM_HEAD,
    chunk,
    event,
    token,
    whole,
)

from cache.memory_store import MemoryStore
from configs.reliability import ReliabilityPolicy, ResumePolicy, RetryPolicy
from configs.router import RequestSettings


@pytest.mark.parametrize(
    "extra",
    [
        {"n": 2},
        {"logprobs": True},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        {"guided_json": {}},
        {"tools": [{}], "tool_choice": "required"},
        {"seed": 1, "temperature": 0.5},
        {"seed": 1},
    ],
)
async def test_what_is_not_all_in_the_text_ends_as_it_did(
    extra: dict[str, object], door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """With an error event: nobody could go on with these."""
    engine.script(*BROKEN)
    two_engines(door, engine, other_engine)
    answer = await door.post({**CHAT_STREAM, **extra})
    assert ("engine_failed", []) == (answer.error_event["code"], other_engine.requests)


@pytest.mark.parametrize(
    "delta",
    [
        {"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": "{"}}]},
        {"reasoning_content": "let me"},
        {"reasoning": "let me"},
    ],
)
async def test_half_a_tool_call_and_reasoning_are_not_resumed(
    delta: dict[str, object], door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Neither can be handed to another engine as a text."""
    said = event({"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    engine.script(STREAM_HEAD, chunk(said), Ending.CLOSE)
    two_engines(door, engine, other_engine)
    answer = await door.post({**CHAT_STREAM, "tools": [{}]})
    assert ("engine_failed", []) == (answer.error_event["code"], other_engine.requests)


async def test_an_engine_that_reasons_anew_does_not_go_on(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Its text would not be the rest of the first one's. The client is told of the loss; the engine stops."""
    anew = event({"id": "c2", "choices": [{"index": 0, "delta": {"reasoning": "hm"}, "finish_reason": None}]})
    engine.script(*BROKEN)
    other_engine.script(STREAM_HEAD, chunk(anew), asyncio.Event(), path="/v1/chat/completions")
    two_engines(door, engine, other_engine)
    answer = await door.post(CHAT_STREAM)
    assert "The engine was lost in the middle of its answer" in str(answer.error_event["message"])
    await eventually(lambda: other_engine.num_open == 0)


async def test_a_resume_that_is_refused_is_the_loss_that_it_was(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The client did not ask for what the engine refuses."""
    engine.script(*BROKEN)
    other_engine.script(whole({"error": {"message": "no prefill"}}, 400), path="/v1/chat/completions")
    two_engines(door, engine, other_engine)
    answer = await door.post(CHAT_STREAM)
    assert ("engine_failed", token("lo,") in answer.body) == (answer.error_event["code"], True)


async def test_a_request_that_ends_its_engines_is_given_up(
    open_door: OpenDoor, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """It must not end all of them."""
    door = await open_door(RequestSettings(replica_wait_s=0.2, max_attempts=16))
    door.set_reliability(ReliabilityPolicy(resume=ResumePolicy(max_resumes=3)))
    engine.otherwise = other_engine.otherwise = BROKEN
    two_engines(door, engine, other_engine)
    answer = await door.post(CHAT_STREAM)
    asked = [one for one in (*engine.requests, *other_engine.requests) if one.path != "/tokenize"]
    assert ("engine_failed", 4) == (answer.error_event["code"], len(asked))


async def test_a_shared_request_that_ends_its_engines_is_given_up_as_well(
    open_door: OpenDoor, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """An answer that may be made again is not made again after that."""
    door = await open_door(RequestSettings(replica_wait_s=0.2, max_attempts=16), store=MemoryStore(1_000_000, 4096))
    door.set_reliability(ReliabilityPolicy(resume=ResumePolicy(max_resumes=3)))
    engine.otherwise = other_engine.otherwise = BROKEN
    two_engines(door, engine, other_engine)
    answer = await door.post({**CHAT_STREAM, "temperature": 0})
    asked = [one for one in (*engine.requests, *other_engine.requests) if one.path != "/tokenize"]
    assert ("engine_failed", 4) == (answer.error_event["code"], len(asked))


async def test_the_retry_budget_holds_for_answers_that_may_be_made_again(
    open_door: OpenDoor, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The first loss is free, and the second would have to be paid."""
    door = await open_door(store=MemoryStore(1_000_000, 4096))
    door.set_reliability(ReliabilityPolicy(retries=RetryPolicy(max_ratio=0, min_retries=0)))
    engine.otherwise = other_engine.otherwise = BROKEN
    two_engines(door, engine, other_engine)
    answer = await door.post({**CHAT_STREAM, "temperature": 0})
    asked = [one for one in (*engine.requests, *other_engine.requests) if one.path != "/tokenize"]
    assert ("engine_failed", 2) == (answer.error_event["code"], len(asked))


async def test_nothing_is_resumed_where_that_is_off(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """By the model's own setting, reloaded in place."""
    engine.script(*BROKEN)
    two_engines(door, engine, other_engine)
    door.set_reliability(ReliabilityPolicy(resume=ResumePolicy(enabled=False)))
    answer = await door.post(CHAT_STREAM)
    assert ("engine_failed", []) == (answer.error_event["code"], other_engine.requests)


async def test_a_stream_that_is_too_long_is_not_resumed(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """What is kept of it is bounded."""
    engine.script(STREAM_HEAD, chunk(token("x" * 2000)), Ending.CLOSE)
    two_engines(door, engine, other_engine)
    door.set_reliability(ReliabilityPolicy(resume=ResumePolicy(max_kept_bytes=1024)))
    answer = await door.post(CHAT_STREAM)
    assert ("engine_failed", []) == (answer.error_event["code"], other_engine.requests)
