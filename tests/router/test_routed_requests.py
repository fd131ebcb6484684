"""Rules, limits and the table that they are from, through a router's own socket and engines that answer by script."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
import pytest_asyncio
from door import MAX_ENTRY_BYTES, Door, OpenDoor
from polling import eventually
from raw_client import ClientAnswer
from scripted_engine import ScriptedEngine
from wire import (
    CHAT,
    CHAT_STREAM,
    DONE,
    EMBEDDING,
    GREEDY_STREAM,
    STOP,
    STREAM,
    USAGE_EVENT,
    WHOLE,
    stream,
    token,
    whole,
)

from cache.memory_store import MemoryStore
from configs.router import RequestSettings, RouterUserConfig
from router.metrics import ROUTED
from router.models.table import ModelTable, RefusedTable

ROUTE = "x-enginehouse-route"
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
USER_CONFIG: Mapping[str, Any] = {
    "models": {
        "small": {"application": "small", "aliases": ["default"]},
        "big": {"application": "big app", "fallbacks": ["spare"]},
    },
    "auto": {
        "auto": {
            "rules": [
                {"name": "agent", "when": {"has_tools": True}, "model": "big"},
                {"name": "evening", "when": {"editors": ["copilot"]}, "model": "big"},
                {"name": "short", "when": {"max_prompt_tokens": 1000}, "model": "default"},
                {"name": "rest", "model": "big"},
            ]
        }
    },
}


def table_of(user_config: Mapping[str, Any] = USER_CONFIG, **models: Mapping[str, Any]) -> ModelTable:
    """`models` are rows with further settings."""
    rows = {name: {**row, **models.get(name, {})} for name, row in user_config["models"].items()}
    settings = {"requests": {"replica_wait_s": 0.3, "early_headers_s": 5}, **user_config, "models": rows}
    return ModelTable(RouterUserConfig.model_validate(settings))


def serve(door: Door, table: ModelTable, **engines: ScriptedEngine) -> None:
    door.state.take_over_table(table)
    for name, engine in engines.items():
        application = "big app" if name == "big" else name
        door.state.take_over_replicas(application, [engine.replica(f"r-{name}")])


@pytest_asyncio.fixture
async def routed(open_door: OpenDoor, engine: ScriptedEngine, other_engine: ScriptedEngine) -> Door:
    """`engine` is `small`, `other_engine` is `big`; `auto` chooses between them."""
    door = await open_door()
    serve(door, table_of(), small=engine, big=other_engine)
    return door


# who is asked, and what the answer says of it


@pytest.mark.parametrize(
    ("body", "headers", "route"),
    [
        ({"tools": TOOLS}, {}, "model=big; application=big%20app; rule=auto/agent"),
        ({}, {"user-agent": "GitHubCopilotChat/0.67.0"}, "model=big; application=big%20app; rule=auto/evening"),
        ({}, {}, "model=small; application=small; rule=auto/short"),
        ({"metadata": "x" * 5000}, {}, "model=big; application=big%20app; rule=auto/rest"),
    ],
)
async def test_the_answer_names_the_rule_that_chose(
    routed: Door,
    engine: ScriptedEngine,
    other_engine: ScriptedEngine,
    body: dict[str, object],
    headers: dict[str, str],
    route: str,
) -> None:
    """And the model and the application that answered; that one, and no other, was asked."""
    engine.otherwise = other_engine.otherwise = [WHOLE]
    answer = await routed.post({**CHAT, "model": "auto", **body}, headers=headers)
    expected_requests = (1, 0) if "model=small" in route else (0, 1)
    assert (200, route) == (answer.status, answer.headers[ROUTE])
    assert expected_requests == (len(engine.requests), len(other_engine.requests))
    assert 1 == routed.sink.total(ROUTED, rule=route.rpartition("rule=")[2])


async def test_a_routed_request_is_the_same_but_for_the_models_name(routed: Door, engine: ScriptedEngine) -> None:
    """The engine gets the name that it knows itself by, and the client what the engine answers."""
    engine.script(WHOLE)
    answer = await routed.post({**CHAT, "model": "auto", "mirostat": 2})
    assert {**CHAT, "mirostat": 2} == engine.requests[0].document
    assert "m" == orjson.loads(answer.body)["model"]


@pytest.mark.parametrize("name", ["small", "default"])
async def test_the_name_of_a_model_has_a_route_without_a_rule(routed: Door, engine: ScriptedEngine, name: str) -> None:
    """An alias says what it stands for."""
    engine.otherwise = [STREAM]
    answer = await routed.post({**CHAT_STREAM, "model": name})
    assert "model=small; application=small" == answer.headers[ROUTE]


async def test_a_fallback_that_answers_is_named(routed: Door, engine: ScriptedEngine) -> None:
    """Not the application that was to answer."""
    engine.script(WHOLE)
    serve(routed, table_of(), spare=engine)
    routed.state.take_over_replicas("big app", [])
    answer = await routed.post({**CHAT, "model": "big"})
    assert "model=big; application=spare" == answer.headers[ROUTE]


async def test_headers_that_go_ahead_name_no_application(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Who will answer is not known then."""
    door = await open_door()
    ahead = {**USER_CONFIG, "requests": {"early_headers_s": 0.01}}
    serve(door, table_of(ahead), small=engine)
    gate = asyncio.Event()
    engine.script(gate, STREAM)
    with await door.client() as client:
        await client.post({**CHAT_STREAM, "model": "auto"})
        reading = asyncio.ensure_future(client.answer())
        await eventually(lambda: any(one._answer.status for one in door.state.generations if hasattr(one, "_answer")))
        gate.set()
        answer = await reading
    assert (200, "model=small; rule=auto/short") == (answer.status, answer.headers[ROUTE])


async def test_an_error_names_who_was_asked(routed: Door, engine: ScriptedEngine) -> None:
    """Whoever looks for the cause begins there."""
    engine.script(whole({"error": {"message": "no"}}, 500))
    answer = await routed.post({**CHAT, "model": "auto"})
    assert (500, "model=small; application=small; rule=auto/short") == (answer.status, answer.headers[ROUTE])


async def test_what_has_no_model_has_no_route(routed: Door) -> None:
    """A name that there is not, and a body that names nothing."""
    answers = [await routed.post({**CHAT, "model": "autos"}), await routed.post({"messages": []})]
    assert [(404, False), (400, False)] == [(answer.status, ROUTE in answer.headers) for answer in answers]


async def test_shared_and_kept_answers_have_a_route(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """The application is that of the generation; one that was made earlier has none now."""
    door = await open_door(store=MemoryStore(1_000_000, MAX_ENTRY_BYTES))
    serve(door, table_of(), small=engine)
    engine.otherwise = [stream(token("Hello"), STOP, USAGE_EVENT, DONE)]
    answers = [await door.post({**GREEDY_STREAM, "model": "auto"}) for _ in range(2)]
    said = [(answer.headers["x-enginehouse-cache"], answer.headers[ROUTE]) for answer in answers]
    assert [
        ("miss", "model=small; application=small; rule=auto/short"),
        ("hit", "model=small; rule=auto/short"),
    ] == said


async def test_a_model_that_is_for_something_else_is_an_honest_error(routed: Door) -> None:
    """Rules may send a request where it cannot be answered; the answer says where it went."""
    answer = await routed.post({**EMBEDDING, "model": "auto"}, "/v1/embeddings")
    assert ("model_does_not_support", True) == (answer.error["code"], answer.headers[ROUTE].startswith("model=small"))


# limits


async def test_a_completion_is_capped(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """Before the engine is asked."""
    door = await open_door()
    serve(door, table_of(small={"limits": {"max_completion_tokens": 7}}), small=engine)
    engine.script(WHOLE)
    await door.post({**CHAT, "model": "auto", "max_completion_tokens": 4000})
    assert 7 == engine.requests[0].document["max_completion_tokens"]


async def test_a_prompt_that_the_engine_counts_is_judged_by_its_count(
    open_door: OpenDoor, engine: ScriptedEngine
) -> None:
    """The estimate lets it pass, the engine's tokenizer does not."""
    door = await open_door()
    serve(door, table_of(small={"limits": {"max_prompt_tokens": 900}}))
    door.state.take_over_replicas("small", [engine.replica("r1", "vllm", max_model_len=1000)])
    engine.script(whole({"count": 901}), path="/tokenize")
    answer = await door.post({**CHAT, "model": "small", "max_tokens": 900})
    assert (400, "context_length_exceeded", "messages") == (
        answer.status, answer.error["code"], answer.error["param"],
    )  # fmt: skip
    assert "The prompt has 901 tokens, and this model takes 900 here." == answer.error["message"]


async def answer_while_another_runs(
    door: Door, engine: ScriptedEngine, keys: tuple[str, str]
) -> tuple[ClientAnswer, ClientAnswer]:
    """The answer to a request that came while one ran, and to one after that."""
    gate = asyncio.Event()
    engine.script(gate, WHOLE)
    engine.otherwise = [WHOLE]
    first, second = ({"authorization": f"Bearer {key}"} for key in keys)
    body = {**CHAT, "model": "small"}
    running = asyncio.ensure_future(door.post(body, headers=first))
    await eventually(lambda: engine.requests)
    beside = await door.post(body, headers=second)
    gate.set()
    assert 200 == (await running).status
    return beside, await door.post(body, headers=second)


@pytest.mark.parametrize(
    ("limit", "keys", "refused"),
    [
        ("max_requests", ("key-a", "key-b"), (503, "engine_overloaded")),
        ("max_requests_per_key", ("key-a", "key-a"), (429, "rate_limit_exceeded")),
        ("max_requests_per_key", ("key-a", "key-b"), None),
    ],
)
async def test_requests_at_once_are_limited(
    open_door: OpenDoor, engine: ScriptedEngine, limit: str, keys: tuple[str, str], refused: tuple[int, str] | None
) -> None:
    """As many as the model takes, or one key of it; the next is welcome when one has ended."""
    door = await open_door(keys=("key-a", "key-b"))
    serve(door, table_of(small={"limits": {limit: 1}}), small=engine)
    beside, after = await answer_while_another_runs(door, engine, keys)
    assert 200 == after.status
    if refused is None:
        assert 200 == beside.status
    else:
        assert (*refused, "1") == (beside.status, beside.error["code"], beside.headers["retry-after"])


async def test_a_client_that_leaves_gives_its_place_back(open_door: OpenDoor, engine: ScriptedEngine) -> None:
    """However its request ends."""
    door = await open_door()
    serve(door, table_of(small={"limits": {"max_requests": 1}}), small=engine)
    engine.script(asyncio.Event())
    with await door.client() as client:
        await client.post({**CHAT, "model": "small"})
        await eventually(lambda: engine.requests)
    await eventually(lambda: not door.state.generations)
    engine.script(WHOLE)
    assert 200 == (await door.post({**CHAT, "model": "small"})).status


# the table


async def test_names_of_rules_are_listed(routed: Door, engine: ScriptedEngine, other_engine: ScriptedEngine) -> None:
    """So that editors can pick them. The context is that of the models which get prompts of any length."""
    routed.state.take_over_replicas("small", [engine.replica("s", max_model_len=1000)])
    routed.state.take_over_replicas("big app", [other_engine.replica("b", max_model_len=8000)])
    listed = orjson.loads((await routed.ask("GET", "/v1/models")).body)["data"]
    card = orjson.loads((await routed.ask("GET", "/v1/models/auto")).body)
    assert ["small", "default", "big", "auto"] == [each["id"] for each in listed]
    assert card == listed[-1]
    assert (8000, 2, "generate", ["big", "small"]) == (
        card["max_model_len"], card["ready_replicas"], card["task"], card["chooses_from"],
    )  # fmt: skip


async def test_a_refused_table_is_told_until_a_better_one_comes(routed: Door) -> None:
    """Beside the list of models, which is that of the table in force."""
    states = [orjson.loads((await routed.ask("GET", "/v1/models")).body)["table"]]
    routed.state.refuse_table(RefusedTable(1_800_000_000.5, "models.m.application: must not be empty"))
    states.append(orjson.loads((await routed.ask("GET", "/v1/models")).body)["table"])
    routed.state.take_over_table(table_of())
    states.append(orjson.loads((await routed.ask("GET", "/v1/models")).body)["table"])
    routed.state.refuse_table(
        RefusedTable(1_800_000_000.5, "models.m.application: must not be empty", is_in_force=True)
    )
    states.append(orjson.loads((await routed.ask("GET", "/v1/models")).body)["table"])
    ok = {"status": "ok", "refused": None}
    reason = {"at": 1_800_000_000, "reason": "models.m.application: must not be empty"}
    unfit = {"status": "unfit", "refused": None, "unfit": reason}
    assert [ok, {"status": "refused", "refused": reason}, ok, unfit] == states


def table_number(number: int) -> ModelTable:
    """In this table everything has this number: the rule, the application, the cap and the attempts."""
    row = {"application": f"app-{number}", "limits": {"max_completion_tokens": 10 + number}}
    auto = {
        "rules": [{"name": f"rule-{number}", "when": {"has_tools": False}, "model": "m"}, {"name": "x", "model": "m"}]
    }
    requests = RequestSettings(replica_wait_s=5, max_attempts=1 + number)
    return ModelTable(
        RouterUserConfig.model_validate({"models": {"m": row}, "auto": {"auto": auto}, "requests": requests})
    )


async def test_no_request_sees_two_tables(
    open_door: OpenDoor, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Tables that take turns while requests arrive piece by piece: each answer is wholly of one of them."""
    door = await open_door()
    tables = [table_number(0), table_number(1)]
    for number, one in enumerate((engine, other_engine)):
        one.otherwise = [WHOLE]
        door.state.take_over_replicas(f"app-{number}", [one.replica(f"r{number}")])
    door.state.take_over_table(tables[0])
    turns = random.Random(7)  # noqa: S311 - no secret

    async def reload() -> None:
        while True:
            door.state.take_over_table(turns.choice(tables))
            await asyncio.sleep(0)

    async def ask(turn: int) -> str:
        body = orjson.dumps({**CHAT, "model": "auto", "seed": turn})
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        with await door.client() as client:
            for part in (head, body[:turn], body[turn:]):
                await client.send(part)
                await asyncio.sleep(0)
            return (await client.answer()).headers[ROUTE]

    reloading = asyncio.ensure_future(reload())
    routes: list[str] = []
    async with asyncio.timeout(60):
        while len(routes) < 100 or len({*routes}) < 2:
            routes += await asyncio.gather(*map(ask, range(1, 21)))
    reloading.cancel()
    asked = {(one, request.document["max_tokens"]) for one in (engine, other_engine) for request in one.requests}
    assert {f"model=m; application=app-{each}; rule=auto/rule-{each}" for each in (0, 1)} == {*routes}
    assert {(engine, 10), (other_engine, 11)} == asked
