"""Mistral's route for filling in, through a real router, as Continue's provider asks it."""

import orjson
import pytest
from door import Door, OpenDoor
from scripted_engine import ScriptedEngine
from wire import DONE, event, stream, whole

from router.fim.template import FAMILIES, NONE
from router.replicas.registry import Replica

PATH = "/v1/fim/completions"
HEAD: dict[str, object] = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m"}
USAGE: dict[str, object] = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
ASKED: dict[str, object] = {"model": "m", "prompt": "def f(", "suffix": "): pass", "max_tokens": 9}


def text(said: str, finish: str | None = None) -> dict[str, object]:
    return {"index": 0, "text": said, "logprobs": None, "finish_reason": finish}


WHOLE = whole({**HEAD, "choices": [text("a", "stop")], "usage": USAGE})
STREAM = stream(
    event({**HEAD, "choices": [text("a")]}), event({**HEAD, "choices": [text(", b")]}),
    event({**HEAD, "choices": [text("", "length")]}), event({**HEAD, "choices": [], "usage": USAGE}), DONE,
)  # fmt: skip


@pytest.fixture
async def codestral(open_door: OpenDoor, engine: ScriptedEngine) -> Door:
    door = await open_door()
    door.serve_with(
        Replica("f1", "m", "127.0.0.1", engine.port, "s", "vllm", "vllm", fim=FAMILIES["codestral"].encode())
    )
    engine.otherwise = [WHOLE]
    return door


@pytest.mark.parametrize("path", [PATH, "/fim/completions"])
async def test_the_answer_has_the_shape_of_a_chat(path: str, codestral: Door, engine: ScriptedEngine) -> None:
    """Whatever the client's address ends with."""
    answer = await codestral.post({**ASKED, "random_seed": 7, "min_tokens": 1, "stop": "\n", "safe": 1}, path)
    message = {"role": "assistant", "content": "a", "tool_calls": None, "prefix": False}
    assert {
        "id": "cmpl-1", "object": "chat.completion", "created": 1, "model": "m", "usage": USAGE,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
    } == orjson.loads(answer.body)  # fmt: skip
    body = engine.requests[-1].document
    assert ("[SUFFIX]): pass[PREFIX]def f(", 7, 1, "\n") == (
        body["prompt"], body["seed"], body["min_tokens"], body["stop"][0],  # type: ignore[index]
    )  # fmt: skip


async def test_a_stream_has_the_usage_in_its_last_event(codestral: Door, engine: ScriptedEngine) -> None:
    """As Mistral sends it; no event without a choice comes."""
    engine.script(STREAM)
    answer = await codestral.post({**ASKED, "stream": True}, PATH)
    *events, done = answer.body.strip().split(b"\n\n")
    chunks = [orjson.loads(one.removeprefix(b"data: ")) for one in events]
    assert b"data: [DONE]" == done
    assert [({"role": "assistant", "content": "a"}, None), ({"content": ", b"}, None), ({"content": ""}, "length")] == [
        (chunk["choices"][0]["delta"], chunk["choices"][0]["finish_reason"]) for chunk in chunks
    ]
    assert ([False, False, True], USAGE) == (["usage" in chunk for chunk in chunks], chunks[-1]["usage"])


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"suffix": 5}, "suffix"),
        ({"random_seed": "x"}, "random_seed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"model": None}, "model"),
    ],
)
async def test_bad_fields_are_named(changes: dict[str, object], param: str, codestral: Door) -> None:
    """By Mistral's names."""
    answer = await codestral.post({**ASKED, **changes}, PATH)
    assert (400, param) == (answer.status, answer.error["param"])


async def test_a_model_that_cannot_says_so(codestral: Door, engine: ScriptedEngine) -> None:
    """As everywhere."""
    codestral.serve_with(Replica("f2", "m", "127.0.0.1", engine.port, "s", "vllm", "vllm", fim=NONE.encode()))
    answer = await codestral.post(ASKED, PATH)
    assert (400, "suffix") == (answer.status, answer.error["param"])


@pytest.mark.parametrize("path", ["/beta/completions", "/v1/beta/completions"])
async def test_deepseeks_path_is_a_text_completion(path: str, codestral: Door) -> None:
    """Continue's DeepSeek provider asks there."""
    answer = await codestral.post(ASKED, path)
    assert (200, "a") == (answer.status, orjson.loads(answer.body)["choices"][0]["text"])
