"""A server that lives on for some seconds while its engine is dead, as vLLM's does: a loss, and no answer."""

from broken_streams import REST, ROLE, text_of, two_engines
from door import Door
from scripted_engine import ScriptedEngine
from wire import CHAT, CHAT_STREAM, DONE, STREAM, WHOLE, event, stream, token, whole

from configs.reliability import ReliabilityPolicy, RetryPolicy
from router.metrics import REQUESTS

DEAD = {
    "error": {
        "message": "EngineCore encountered an issue. See stack trace (above) for the root cause.",
        "type": "InternalServerError", "param": None, "code": 500,
    }
}  # fmt: skip
NO_BUDGET = ReliabilityPolicy(retries=RetryPolicy(max_ratio=0, min_retries=0))


async def test_a_whole_answer_is_asked_of_another(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """As where the connection breaks: the first time without any budget; and the others pass the replica over."""
    engine.otherwise, other_engine.otherwise = [whole(DEAD, 500)], [WHOLE]
    two_engines(door, engine, other_engine)
    door.set_reliability(NO_BUDGET)
    assert [200] * 8 == [(await door.post(CHAT)).status for _ in range(8)]
    assert (1, 8) == (len(engine.requests), len(other_engine.requests))
    assert 8 == door.sink.total(REQUESTS, code="ok")


async def test_a_stream_that_has_not_begun_is_asked_of_another(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Its status went out before its engine died."""
    engine.script(stream(event(DEAD), DONE))
    other_engine.script(STREAM)
    two_engines(door, engine, other_engine)
    answer = await door.post(CHAT_STREAM)
    assert (200, "Hello", True) == (answer.status, text_of(answer.body), answer.body.endswith(DONE))


async def test_all_streams_that_have_begun_go_on(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """They break at one moment, so that a budget would fail most of them."""
    engine.script(stream(ROLE, token("Hel"), token("lo,"), event(DEAD), DONE))
    other_engine.script(REST, path="/v1/chat/completions")
    two_engines(door, engine, other_engine)
    door.set_reliability(NO_BUDGET)
    assert "Hello, world" == text_of((await door.post(CHAT_STREAM)).body)


async def test_a_stream_that_nobody_can_go_on_with_is_an_engines_failure(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The client is told so, in the engine's words."""
    engine.script(stream(ROLE, token("Hel"), event(DEAD), DONE))
    two_engines(door, engine, other_engine)
    error = (await door.post({**CHAT_STREAM, "logprobs": True})).error_event
    assert ("engine_failed", True) == (error["code"], "EngineCore" in str(error["message"]))


async def test_a_failure_of_one_request_is_its_own(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Another engine would fail at it, too."""
    engine.script(whole({"error": {"message": "", "type": "InternalServerError", "code": 500}}, 500))
    two_engines(door, engine, other_engine)
    answer = await door.post(CHAT)
    assert (500, "engine_failed", []) == (answer.status, answer.error["code"], other_engine.requests)
