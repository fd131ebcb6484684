"""router.models.capabilities, and what the request path does with them: what models can do, and who says so."""

from dataclasses import replace

import orjson
import pytest
from door import Door
from raw_client import ClientAnswer
from scripted_engine import ScriptedEngine
from wire import CHAT, COMPLETION, WHOLE

from configs.capabilities import CapabilitySettings
from configs.engine import Task
from configs.fim import FimPolicy
from configs.limits import ModelLimits
from configs.router import RouterUserConfig
from router.fim.template import FAMILIES, NONE
from router.models.capabilities import ability_of, can_be_forced, capabilities_of, max_output_tokens
from router.models.table import Model, ModelTable
from router.replicas.registry import Replica
from router.replicas.statement import Statement

TOOL: dict[str, object] = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
OTHER: dict[str, object] = {"type": "function", "function": {"name": "hear", "parameters": {"type": "object"}}}
NAMED: dict[str, object] = {"type": "function", "function": {"name": "look"}}
IMAGE: dict[str, object] = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def allowed_tools(mode: str) -> dict[str, object]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [NAMED]}}


def model_with(**settings: bool) -> Model:
    return Model("m", ("a",), capabilities=CapabilitySettings(**settings))


def saying(statement: Statement, task: Task = "generate") -> Replica:
    return Replica("r", "m", "127.0.0.1", 1, "s", "e", "vllm", task=task, statement=statement)


@pytest.mark.parametrize(
    ("statements", "settings", "expected"),
    [
        ([Statement()], {}, ["chat", "completion"]),
        ([Statement(chat=False)], {}, ["completion"]),
        ([Statement(tools=True, vision=False, fim=True)], {}, ["chat", "completion", "tools", "fim"]),
        ([Statement(tools=True), Statement(tools=False)], {}, ["chat", "completion"]),
        ([Statement(tools=True), Statement()], {}, ["chat", "completion", "tools"]),
        ([Statement(tools=False)], {"tools": True}, ["chat", "completion", "tools"]),
        ([Statement(reasoning=True)], {"reasoning": False}, ["chat", "completion"]),
        ([Statement()], {"structured_output": True}, ["chat", "completion", "structured_output"]),
        ([], {"tools": True}, []),
    ],
)
def test_what_a_model_can_do(
    statements: list[Statement], settings: dict[str, bool], expected: list[str]
) -> None:  # fmt: skip
    """What one replica affirms and none denies; a setting goes before; nothing where there never was a replica."""
    assert expected == capabilities_of(model_with(**settings), [saying(one) for one in statements])


@pytest.mark.parametrize(
    ("told", "policy", "expected"),
    [
        (FAMILIES["starcoder"].encode(), FimPolicy(), True),
        (NONE.encode(), FimPolicy(), False),
        (NONE.encode(), FimPolicy(template="qwen_coder"), True),
        (FAMILIES["starcoder"].encode(), FimPolicy(template="none"), False),
        ("", FimPolicy(), True),
        ("", FimPolicy(template="native"), True),
    ],
)
def test_filling_in(told: str, policy: FimPolicy, expected: bool) -> None:  # noqa: FBT001
    """By the template that is set, or the one that the tokeniser knows, or else what the engine says."""
    replica = Replica(
        "r", "m", "127.0.0.1", 1, "s", "e", "vllm", statement=Statement(fim=True), fim=told
    )  # fmt: skip
    assert expected == ability_of(Model("m", ("a",), fim=policy), replica, "fim")


@pytest.mark.parametrize(("task", "expected"), [("embed", ["embeddings"]), ("rerank", ["rerank"])])
def test_other_tasks(task: Task, expected: list[str]) -> None:
    """A model that does not generate does its one thing."""
    assert expected == capabilities_of(model_with(tools=True), [saying(Statement(tools=True), task)])


@pytest.mark.parametrize(
    ("statement", "settings", "expected"),
    [
        (Statement(tools=False, forced_tools=True), {}, True),
        (Statement(tools=True, forced_tools=False), {}, False),
        (Statement(tools=False), {}, False),
        (Statement(), {}, None),
        (Statement(tools=False, forced_tools=True), {"tools": False}, False),
    ],
)
def test_a_forced_call(statement: Statement, settings: dict[str, bool], expected: bool | None) -> None:  # noqa: FBT001
    """Some engines make a call by a schema whose models call nothing by themselves; a setting goes before."""
    assert expected == can_be_forced(model_with(**settings), saying(statement))


@pytest.mark.parametrize(
    ("limit", "context", "expected"), [(None, 2048, 2048), (512, 2048, 512), (512, None, 512), (None, None, None)]
)
def test_the_longest_answer(limit: int | None, context: int | None, expected: int | None) -> None:
    """Is what is set for the model, within the context."""
    model = Model("m", ("a",), limits=ModelLimits(max_completion_tokens=limit))
    assert expected == max_output_tokens(model, context)


def test_a_statement_of_another_version() -> None:
    """What is not known here is passed over, and what is missing is not said."""
    assert Statement(tools=True) == Statement.of({"tools": True, "telepathy": True})


RULES = [
    {"model": "seeing", "when": {"has_images": True}},
    {"model": "acting", "when": {"has_tools": True, "min_prompt_tokens": 8}},
    {"model": "plain"},
]
SAYINGS = {
    "seeing": Statement(vision=True, tools=True, reasoning=True),
    "acting": Statement(tools=True, reasoning=True),
    "plain": Statement(tools=True, vision=False, reasoning=False),
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["chat", "completion", "tools", "vision"]),
        ({"plain": Statement(tools=False)}, ["chat", "completion", "vision"]),
        ({"seeing": Statement(vision=None)}, ["chat", "completion"]),
        ({"plain": Statement(tools=True, reasoning=True)}, ["chat", "completion", "tools", "vision", "reasoning"]),
    ],
)
async def test_a_name_for_which_rules_choose(changes: dict[str, Statement], expected: list[str], door: Door) -> None:
    """Can what the models can that a request for it may get: images go to one of them only, tools to any."""
    models = {name: {"application": name} for name in SAYINGS}
    config = RouterUserConfig.model_validate({"models": models, "auto": {"auto": {"rules": RULES}}})
    door.state.take_over_table(ModelTable(config))
    for name, statement in {**SAYINGS, **changes}.items():
        door.state.take_over_replicas(name, [replace(saying(statement), replica_id=name)])
    card = orjson.loads((await door.ask("GET", "/v1/models/auto")).body)
    assert expected == card["capabilities"]


# on the request path


async def test_the_card(door: Door, engine: ScriptedEngine) -> None:
    """Has what the engine says, and what is set."""
    replica = engine.replica("r2", max_model_len=2048)
    replica.statement = Statement(tools=True)
    door.serve_with(replica)
    door.set_route(fim={"template": "qwen_coder"}, limits={"max_completion_tokens": 256})
    card = orjson.loads((await door.ask("GET", "/v1/models/m")).body)
    assert ["chat", "completion", "tools", "fim"] == card["capabilities"]
    assert (2048, 256) == (card["context_length"], card["max_output_tokens"])


async def asked(
    door: Door, engine: ScriptedEngine, statement: Statement, profile: str = "vllm", **fields: object
) -> ClientAnswer:
    """The answer to a chat with `fields` of an engine that says `statement`."""
    replica = engine.replica("said", profile)
    replica.statement = statement
    door.serve_with(replica)
    engine.otherwise = [WHOLE]
    return await door.post({**CHAT, **fields})


@pytest.mark.parametrize("choice", [None, "auto", "none", allowed_tools("auto")])
async def test_tools_that_are_only_allowed(choice: object, door: Door, engine: ScriptedEngine) -> None:
    """Are left out where the model calls none, so that every engine answers in words; a header says so."""
    wish = {} if choice is None else {"tool_choice": choice}
    answer = await asked(door, engine, Statement(tools=False), tools=[TOOL], parallel_tool_calls=False, **wish)
    assert (200, "tools") == (answer.status, answer.headers["x-enginehouse-ignored"])
    assert CHAT == engine.requests[0].document


@pytest.mark.parametrize("choice", ["required", NAMED, allowed_tools("required")])
async def test_tools_that_are_demanded(choice: object, door: Door, engine: ScriptedEngine) -> None:
    """Are refused where the model calls none: an answer without a call would not be what was asked for."""
    answer = await asked(door, engine, Statement(tools=False), tools=[TOOL], tool_choice=choice)
    assert (400, "model_does_not_support", "tool_choice") == (
        answer.status, answer.error["code"], answer.error["param"],
    )  # fmt: skip
    assert [] == engine.requests


@pytest.mark.parametrize("statement", [Statement(), Statement(tools=True), Statement(tools=False, forced_tools=True)])
async def test_demands_that_can_be_met(statement: Statement, door: Door, engine: ScriptedEngine) -> None:
    """Go to the engine as they are, also where nobody says what the model can do."""
    answer = await asked(door, engine, statement, tools=[TOOL], tool_choice="required")
    assert (200, None) == (answer.status, answer.headers.get("x-enginehouse-ignored"))
    assert ([TOOL], "required") == tuple(engine.requests[0].document[name] for name in ("tools", "tool_choice"))


@pytest.mark.parametrize("kind", ["json_object", "json_schema"])
@pytest.mark.parametrize("asked_of", [CHAT, COMPLETION])
async def test_json_of_an_engine_that_writes_words(
    asked_of: dict[str, object], kind: str, door: Door, engine: ScriptedEngine
) -> None:
    """Is refused: words would not be what was asked for, whether in a chat or in a completion."""
    replica = engine.replica("said", "vllm")
    replica.statement = Statement(structured_output=False)
    door.serve_with(replica)
    path = "/v1/chat/completions" if asked_of is CHAT else "/v1/completions"
    answer = await door.post({**asked_of, "response_format": {"type": kind, "json_schema": {"schema": {}}}}, path)
    assert (400, "model_does_not_support", "response_format") == (
        answer.status, answer.error["code"], answer.error["param"],
    )  # fmt: skip
    assert [] == engine.requests


@pytest.mark.parametrize(
    ("said", "kind"), [(None, "json_object"), (True, "json_object"), (False, "text")], ids=["unknown", "able", "text"]
)
async def test_formats_that_engines_get(*, said: bool | None, kind: str, door: Door, engine: ScriptedEngine) -> None:
    """Where it can be held to, where nobody says, and where it is words that are asked for."""
    answer = await asked(door, engine, Statement(structured_output=said), response_format={"type": kind})
    assert (200, {"type": kind}) == (answer.status, engine.requests[0].document["response_format"])


async def test_a_named_function_on_llama_cpp(door: Door, engine: ScriptedEngine) -> None:
    """It knows no names, and would demand nothing: it gets that one tool, and the demand."""
    await asked(door, engine, Statement(tools=True), "llama_cpp", tools=[OTHER, TOOL], tool_choice=NAMED)
    assert ([TOOL], "required") == tuple(engine.requests[0].document[name] for name in ("tools", "tool_choice"))


async def test_a_named_function_that_is_none(door: Door, engine: ScriptedEngine) -> None:
    """Is the client's mistake, whichever engine would have to find it."""
    answer = await asked(door, engine, Statement(), "llama_cpp", tools=[OTHER], tool_choice=NAMED)
    assert (400, "tool_choice") == (answer.status, answer.error["param"])


@pytest.mark.parametrize(("vision", "status"), [(False, 400), (True, 200), (None, 200)])
async def test_images(vision: bool | None, status: int, door: Door, engine: ScriptedEngine) -> None:  # noqa: FBT001
    """Are refused by name where the model sees none; the words alone are no image."""
    messages = [{"role": "user", "content": [{"type": "text", "text": "image_url"}, IMAGE]}]
    answer = await asked(door, engine, Statement(vision=vision), messages=messages)
    assert status == answer.status
    spoken = [{"role": "user", "content": '{"type": "image_url"}'}]
    assert 200 == (await asked(door, engine, Statement(vision=vision), messages=spoken)).status
