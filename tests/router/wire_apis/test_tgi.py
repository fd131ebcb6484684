"""The route of Text Generation Inference, through a real router, as llm-ls asks it."""

import orjson
import pytest
from door import Door, OpenDoor
from scripted_engine import ScriptedEngine
from wire import whole

from router.fim.template import FAMILIES
from router.metrics import REQUESTS
from router.replicas.registry import Replica

PROMPT = "<fim_prefix>def f(<fim_suffix>): pass<fim_middle>"
ASKED: dict[str, object] = {
    "inputs": PROMPT,
    "parameters": {"max_new_tokens": 60, "temperature": 0.2, "top_p": 0.95, "return_full_text": False},
}
SAID = whole({"id": "cmpl-1", "model": "m", "choices": [{"index": 0, "text": "a, b", "finish_reason": "stop"}]})


@pytest.fixture
async def starcoder(open_door: OpenDoor, engine: ScriptedEngine) -> Door:
    door = await open_door()
    door.serve_with(
        Replica("f1", "m", "127.0.0.1", engine.port, "s", "vllm", "vllm", fim=FAMILIES["starcoder"].encode())
    )
    engine.otherwise = [SAID]
    return door


@pytest.mark.parametrize("path", ["/generate", "/"])
async def test_what_llm_ls_asks(path: str, starcoder: Door, engine: ScriptedEngine) -> None:
    """Without a model, with marks of its own: the model that fills in answers, in the form that llm-ls reads."""
    answer = await starcoder.post(ASKED, path)
    assert (200, {"generated_text": "a, b"}) == (answer.status, orjson.loads(answer.body))
    [request] = engine.requests
    assert "/v1/completions" == request.path
    asked = {"model": "m", "prompt": PROMPT, "max_tokens": 60, "temperature": 0.2, "top_p": 0.95}
    assert asked == {name: request.document[name] for name in asked}
    assert 1 == starcoder.sink.total(REQUESTS, route="/generate", code="ok", model="m")


async def test_the_least_that_can_be_asked(starcoder: Door, engine: ScriptedEngine) -> None:
    """A hundred tokens, and no sampling, as TGI has it; the text before goes with it where that is wanted."""
    answer = await starcoder.post({"inputs": "def f(", "parameters": {"return_full_text": True}}, "/generate")
    assert "def f(a, b" == orjson.loads(answer.body)["generated_text"]
    assert (100, 0) == (engine.requests[0].document["max_tokens"], engine.requests[0].document["temperature"])


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"inputs": None}, "`inputs`"),
        ({"inputs": ["a"]}, "`inputs`"),
        ({"parameters": []}, "`parameters`"),
        ({"parameters": {"max_new_tokens": -1}}, "`parameters.max_new_tokens`"),
        ({"parameters": {"temperature": "hot"}}, "`parameters.temperature`"),
        ({"stream": True}, "`stream`"),
        ({"model": 3}, "`model`"),
    ],
)
async def test_a_mistake(fields: dict[str, object], named: str, starcoder: Door, engine: ScriptedEngine) -> None:
    """Is named in the one string that llm-ls shows."""
    answer = await starcoder.post({**ASKED, **fields}, "/generate")
    document = orjson.loads(answer.body)
    assert (400, "validation") == (answer.status, document["error_type"])
    assert named in document["error"]
    assert [] == engine.requests


async def test_nobody_who_fills_in(open_door: OpenDoor) -> None:
    """Is 404."""
    door = await open_door()
    door.serve_with()
    answer = await door.post(ASKED, "/generate")
    assert (404, "validation") == (answer.status, orjson.loads(answer.body)["error_type"])


async def test_an_engine_that_is_busy(starcoder: Door, engine: ScriptedEngine) -> None:
    """Is told as such."""
    engine.otherwise = [whole({"error": {"message": "busy"}}, 503)]
    answer = await starcoder.post(ASKED, "/generate")
    assert (503, "overloaded") == (answer.status, orjson.loads(answer.body)["error_type"])


async def test_the_root_is_still_there(starcoder: Door) -> None:
    """For whoever asks whether somebody is."""
    assert [200, 200, 405] == [(await starcoder.ask(method, "/")).status for method in ("GET", "HEAD", "PUT")]
