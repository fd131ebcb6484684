"""`GET /props`, as clients of llama.cpp's server ask for it."""

from urllib.parse import quote

import orjson
import pytest
from door import Door, OpenDoor
from scripted_engine import ScriptedEngine

from configs.router import ModelRoute, RouterUserConfig
from router.fim.template import FAMILIES
from router.models.table import ModelTable
from router.replicas.registry import Replica
from router.replicas.statement import Statement


def replica(engine: ScriptedEngine, name: str, **fields: object) -> Replica:
    found = engine.replica(name, max_model_len=4096)
    for field, value in fields.items():
        setattr(found, field, value)
    return found


async def props(door: Door, name: str | None = None) -> dict[str, object]:
    answer = await door.ask("GET", "/props" if name is None else f"/props?model={quote(name)}")
    found: dict[str, object] = orjson.loads(answer.body)
    return found


async def test_what_a_model_has(door: Door, engine: ScriptedEngine) -> None:
    """The context of its smallest replica, the slots of all of them, and what it sees and hears, by either name."""
    statement = Statement(vision=True, audio=False)
    door.serve_with(
        replica(engine, "p1", max_num_seqs=4, statement=statement),
        replica(engine, "p2", max_num_seqs=2, statement=statement, max_model_len=2048),
    )
    expected = {
        "default_generation_settings": {"n_ctx": 2048}, "total_slots": 6, "model_alias": "default", "model_path": "m",
        "modalities": {"vision": True, "audio": False},
    }  # fmt: skip
    assert expected == await props(door, "default")
    assert {**expected, "model_alias": "m"} == await props(door)


async def test_what_nobody_knows(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Is left out; the settings are an object all the same, for clients look into it."""
    door = await open_door()
    unknown = {"default_generation_settings": {}, "model_alias": "m", "model_path": "m"}
    assert unknown == await props(door, "m")
    door.serve_with(engine.replica("r1"))
    assert unknown == await props(door, "m")


async def test_the_model_that_fills_in(door: Door, engine: ScriptedEngine) -> None:
    """Is meant where none is named, as at `/infill`."""
    routes = {name: ModelRoute(application=name) for name in ("chat", "code")}
    door.state.take_over_table(ModelTable(RouterUserConfig(models=routes)))
    door.state.take_over_replicas("chat", [replica(engine, "r1")])
    code = Replica("r2", "m", "127.0.0.1", 1, "s", "e", "vllm", fim=FAMILIES["qwen_coder"].encode())
    door.state.take_over_replicas("code", [code])
    assert "code" == (await props(door))["model_path"]


async def test_a_name_for_which_rules_choose(door: Door, engine: ScriptedEngine) -> None:
    """Is the model of its last rule."""
    door.serve_with(replica(engine, "r1"))
    config = {"models": {"m": {"application": "application-of-m"}}, "auto": {"auto": {"rules": [{"model": "m"}]}}}
    door.state.take_over_table(ModelTable(RouterUserConfig.model_validate(config)))
    found = await props(door, "auto")
    assert ("auto", "m") == (found["model_alias"], found["model_path"])


@pytest.mark.parametrize(("method", "path", "status", "code"), [
    ("GET", "/props?model=nobody", 404, "model_not_found"),
    ("POST", "/props", 405, "method_not_allowed"),
])  # fmt: skip
async def test_what_there_is_not(method: str, path: str, status: int, code: str, door: Door) -> None:
    """An unknown model, and a way to change anything."""
    answer = await door.ask(method, path, {"content-length": "0"})
    assert (status, code) == (answer.status, answer.error["code"])


async def test_a_key_is_needed(open_door: OpenDoor) -> None:
    """As for the list of models."""
    door = await open_door(keys=["k1"])
    answers = [await door.ask("GET", path) for path in ("/props", "/k/k1/props")]
    assert [401, 200] == [answer.status for answer in answers]
