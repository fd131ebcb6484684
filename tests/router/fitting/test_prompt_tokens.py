"""router.fitting.prompt_tokens: limits that fit the engine's context, with as few questions to it as possible."""

import pytest
from door import Door, OpenDoor
from scripted_engine import Ending, ScriptedEngine, Step
from wire import CHAT, COMPLETION, WHOLE, plain, whole

MAX_MODEL_LEN = 1000


@pytest.fixture
async def clamping(open_door: OpenDoor, engine: ScriptedEngine) -> Door:
    """A router whose engine speaks vLLM's dialect, has a context of 1000 tokens and answers every generation."""
    door = await open_door()
    door.serve_with(engine.replica("r1", profile="vllm", max_model_len=MAX_MODEL_LEN))
    engine.otherwise = [WHOLE]
    return door


def counts(engine: ScriptedEngine, num_prompt_tokens: int) -> None:
    engine.script(whole({"count": num_prompt_tokens, "max_model_len": MAX_MODEL_LEN}), path="/tokenize")


def asked_for(engine: ScriptedEngine, path: str) -> dict[str, object]:
    """The one request for a generation."""
    [request] = [request for request in engine.requests if request.path == path]
    return request.document


def num_questions(engine: ScriptedEngine) -> int:
    return sum(request.path == "/tokenize" for request in engine.requests)


CHAT_PATH, COMPLETION_PATH = "/v1/chat/completions", "/v1/completions"


@pytest.mark.parametrize("limit", [None, 1, 300])
async def test_a_limit_that_fits_is_left_alone(limit: int | None, clamping: Door, engine: ScriptedEngine) -> None:
    """Nothing is asked, nothing is changed."""
    body = {**CHAT, "max_tokens": limit}
    assert 200 == (await clamping.post(body)).status
    assert body == asked_for(engine, CHAT_PATH)
    assert 0 == num_questions(engine)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_a_chats_limit_beyond_the_context_is_dropped(field: str, clamping: Door, engine: ScriptedEngine) -> None:
    """Without one the engine fills its context, which is what is left; so nothing needs to be counted."""
    await clamping.post({**CHAT, field: 1_000_000})
    assert CHAT == asked_for(engine, CHAT_PATH)
    assert 0 == num_questions(engine)


async def test_a_completions_limit_beyond_the_context_is_lowered(clamping: Door, engine: ScriptedEngine) -> None:
    """A completion without a limit would stop after 16 tokens, so its prompt is counted."""
    counts(engine, 10)
    await clamping.post({**COMPLETION, "max_tokens": 1_000_000}, COMPLETION_PATH)
    assert {**COMPLETION, "max_tokens": 990} == asked_for(engine, COMPLETION_PATH)
    assert {"model": "m", "prompt": "hi"} == engine.requests[0].document


async def test_a_limit_that_may_not_fit_is_counted_and_lowered(clamping: Door, engine: ScriptedEngine) -> None:
    """The engine counts what makes up the prompt of a chat, and nothing else is sent to it twice."""
    counts(engine, 400)
    tools = [{"type": "function", "function": {"name": "f"}}]
    await clamping.post({**CHAT, "max_tokens": 900, "tools": tools, "seed": 1})
    assert {**CHAT, "max_tokens": 600, "tools": tools, "seed": 1} == asked_for(engine, CHAT_PATH)
    assert {"model": "m", "messages": CHAT["messages"], "tools": tools} == engine.requests[0].document
    assert "Bearer secret-of-r1" == engine.requests[0].headers["authorization"]


async def test_a_limit_that_fits_after_counting_is_left_alone(clamping: Door, engine: ScriptedEngine) -> None:
    """Counting alone changes nothing."""
    counts(engine, 50)
    await clamping.post({**CHAT, "max_tokens": 900})
    assert 900 == asked_for(engine, CHAT_PATH)["max_tokens"]


@pytest.mark.parametrize(
    ("body", "path", "param"), [(CHAT, CHAT_PATH, "messages"), (COMPLETION, COMPLETION_PATH, "prompt")]
)
async def test_a_prompt_that_fills_the_context_is_refused(
    body: dict[str, object], path: str, param: str, clamping: Door, engine: ScriptedEngine
) -> None:
    """400, with the code that clients know, before any generation."""
    counts(engine, MAX_MODEL_LEN)
    answer = await clamping.post({**body, "max_tokens": 999}, path)
    assert (400, "context_length_exceeded", param) == (answer.status, answer.error["code"], answer.error["param"])
    assert "router" == answer.headers["x-enginehouse-error-source"]
    assert [request.path for request in engine.requests] == ["/tokenize"]


@pytest.mark.parametrize(
    "steps",
    [
        [plain(b"no such route", 404)],
        [plain(b"not json")],
        [whole(["no count"])],
        [whole({"count": "many"})],
        [Ending.CLOSE],
        [Ending.RESET],
        [b"garbage\r\n\r\n"],
    ],
    ids=["404", "not JSON", "no object", "no number", "closed", "reset", "not HTTP"],
)
async def test_when_counting_fails_the_engine_is_the_judge(
    steps: list[Step], clamping: Door, engine: ScriptedEngine
) -> None:
    """The request goes on as it is."""
    engine.script(*steps, path="/tokenize")
    assert 200 == (await clamping.post({**CHAT, "max_tokens": 999})).status
    assert 999 == asked_for(engine, CHAT_PATH)["max_tokens"]


@pytest.mark.parametrize(("prompt", "longest"), [([1, 2], 2), ([[1], [2, 3, 4]], 3)])
async def test_a_prompt_of_tokens_is_counted_here(
    prompt: object, longest: int, clamping: Door, engine: ScriptedEngine
) -> None:
    """Tokens need no engine to be counted; of several prompts the longest has to fit."""
    await clamping.post({**COMPLETION, "prompt": prompt, "max_tokens": 999}, COMPLETION_PATH)
    assert MAX_MODEL_LEN - longest == asked_for(engine, COMPLETION_PATH)["max_tokens"]
    assert 0 == num_questions(engine)


async def test_several_texts_are_not_counted(clamping: Door, engine: ScriptedEngine) -> None:
    """Engines count one text; several are left to their own judgement."""
    body = {**COMPLETION, "prompt": ["a", "b"], "max_tokens": 999}
    await clamping.post(body, COMPLETION_PATH)
    assert body == asked_for(engine, COMPLETION_PATH)
    assert 0 == num_questions(engine)


@pytest.mark.parametrize(("profile", "max_model_len"), [("llama_cpp", MAX_MODEL_LEN), ("vllm", None)])
async def test_an_engine_that_needs_no_help_gets_none(
    profile: str, max_model_len: int | None, door: Door, engine: ScriptedEngine
) -> None:
    """llama.cpp stops at its context's end by itself; and an unknown context cannot be judged."""
    engine.otherwise = [WHOLE]
    door.serve_with(engine.replica("r2", profile, max_model_len))
    await door.post({**CHAT, "max_tokens": 1_000_000})
    assert 1_000_000 == asked_for(engine, CHAT_PATH)["max_tokens"]


async def test_an_alias_is_counted_under_the_models_name(clamping: Door, engine: ScriptedEngine) -> None:
    """The engine knows one name only, for either question."""
    counts(engine, 10)
    await clamping.post({**CHAT, "model": "default", "max_tokens": 999})
    assert ["m", "m"] == [request.document["model"] for request in engine.requests]
