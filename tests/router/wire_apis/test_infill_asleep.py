"""`/infill` where the models that could answer have no replica."""

import asyncio

import orjson
import pytest
from door import APPLICATION, Door, OpenDoor
from polling import eventually
from raw_client import ClientAnswer
from scripted_engine import ScriptedEngine
from wire import DONE, event, stream, whole

from configs.router import ModelRoute, RouterUserConfig
from router.fim.template import FAMILIES
from router.models.table import ModelTable
from router.replicas.registry import Replica

HEAD: dict[str, object] = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m"}
CHOICE: dict[str, object] = {"index": 0, "text": "a + b", "logprobs": None, "finish_reason": "stop"}
SUM = stream(event({**HEAD, "choices": [CHOICE]}), DONE)


def coder(engine: ScriptedEngine, name: str = "c1") -> Replica:
    """One that says that it fills in by Qwen's marks."""
    engine.otherwise = [SUM]
    return Replica(
        name, "m", "127.0.0.1", engine.port, "s", "llama_cpp", "llama_cpp", fim=FAMILIES["qwen_coder"].encode()
    )


async def ask(door: Door, model: str | None = None) -> ClientAnswer:
    body = {"input_prefix": "def add(a, b):\n", "prompt": "    return ", "input_suffix": "\n"}
    return await door.post(body if model is None else {**body, "model": model}, "/infill")


async def ask_until_wanted(door: Door, model: str | None = None) -> "asyncio.Task[ClientAnswer]":
    """The request once it waits for the model `m` to wake, or is answered."""
    asking = asyncio.create_task(ask(door, model))
    await eventually(lambda: asking.done() or door.state.load().demand[APPLICATION] == 1)
    return asking


@pytest.mark.parametrize("name", [None, "nobody"])
async def test_a_model_that_sleeps_is_woken(door: Door, engine: ScriptedEngine, name: str | None) -> None:
    """The only one that can fill in, as its replica said while it had one: the request waits for the next."""
    door.set_route(wake={"timeout_s": 30})
    door.serve_with(coder(engine))
    door.serve_with()
    asking = await ask_until_wanted(door, name)
    door.serve_with(coder(engine, "c2"))
    answer = await asking
    assert (200, "m") == (answer.status, orjson.loads(answer.body).get("model"))


async def test_a_model_that_has_never_been_awake_is_known_by_its_settings(
    open_door: OpenDoor, engine: ScriptedEngine
) -> None:
    """Without them nobody knows what it can, and nobody is woken for it."""
    door = await open_door()
    door.set_route(wake={"timeout_s": 30})
    assert (404, {}) == ((await ask(door)).status, door.state.load().demand)
    door.set_route(wake={"timeout_s": 30}, fim={"template": "qwen_coder"})
    asking = await ask_until_wanted(door)
    door.serve_with(coder(engine))
    assert 200 == (await asking).status


async def test_one_that_is_awake_goes_before_one_that_sleeps(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Wherever they stand in the table; and tokens are asked of one that is awake."""
    models = {"m": ModelRoute(application=APPLICATION), "second": ModelRoute(application="another")}
    door.state.take_over_table(ModelTable(RouterUserConfig(models=models)))
    door.serve_with(coder(engine))
    door.serve_with()
    door.state.take_over_replicas("another", [coder(other_engine, "c2")])
    assert "second" == orjson.loads((await ask(door)).body).get("model")
    other_engine.script(whole({"tokens": [1]}), path="/tokenize")
    assert 200 == (await door.post({"content": "hi"}, "/tokenize")).status
