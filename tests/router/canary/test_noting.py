"""router.canary.noting: what attempts come to, by side, through a router with two engines."""

import asyncio
import gc
import warnings
from dataclasses import replace
from typing import Any

import orjson
import pytest
from door import APPLICATION, Door
from polling import eventually
from scripted_engine import Ending, ScriptedEngine
from wire import CHAT, CHAT_STREAM, COMPLETION, DONE, STREAM, TOKENS, WHOLE, stream, whole

from configs.backends import CanaryRule
from configs.router import ModelRoute, RouterUserConfig
from router.attempts import Attempts
from router.call import ROUTES, Account, Call, parse_call
from router.canary.hearing import Heard, Keeping
from router.canary.noting import PASSED_OVER, noting
from router.canary.tally import FAILED, Course, Side, Tally
from router.canary.trial import Trial, base_of
from router.lanes.lane import Lane
from router.metrics import BACKEND_ATTEMPTS, BACKEND_FIRST_TOKEN
from router.models.table import Model, ModelTable
from router.state import RouterState

ROUTE = ModelRoute(application=APPLICATION)
TRIAL = Trial("t1", "m", "new", None, 100, (), 0, CanaryRule(), base_of(ROUTE), 100.0)


def try_on(door: Door, new: ScriptedEngine, trial: Trial = TRIAL, **fields: object) -> None:
    """`m` has `r1`, and its canary `r2`. `fields` are others of the model's row."""
    route = ModelRoute.model_validate({"application": APPLICATION, **fields})
    door.state.take_over_table(
        ModelTable(RouterUserConfig(models={"m": route}, requests=door.state.table.requests), (trial,))
    )
    door.state.take_over_replicas("new", [new.replica("r2")])


def figures(door: Door, side: Side) -> Tally:
    return door.state.tallies.courses(door.state.loop.time()).get("t1", {}).get(side, Course()).total


async def test_a_canary_that_answers_is_counted(door: Door, other_engine: ScriptedEngine) -> None:
    """Its answer, when it began, and the time of each token after; the metrics name the backend."""
    try_on(door, other_engine)
    other_engine.script(STREAM)
    assert 200 == (await door.post(CHAT_STREAM)).status
    found = figures(door, "canary")
    assert ({"ok": 1}, 1, 1) == (found.counts, found.ttft_s.num, found.tpot_s.num)
    assert 1 == door.sink.total(BACKEND_ATTEMPTS, model="m", backend="new", replica="r2", outcome="ok")
    assert 1 == len(list(door.sink.of(BACKEND_FIRST_TOKEN, backend="new")))


async def test_a_failure_that_the_client_never_sees_is_the_canarys(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The stable backend answers in its place, and each has what it did."""
    try_on(door, other_engine)
    other_engine.script(Ending.RESET)
    engine.script(WHOLE)
    assert 200 == (await door.post(CHAT)).status
    assert ({FAILED + "engine_unavailable": 1}, {"ok": 1}) == (
        figures(door, "canary").counts, figures(door, "stable").counts,
    )  # fmt: skip


async def test_a_stream_that_breaks_is_a_failure(door: Door, other_engine: ScriptedEngine) -> None:
    """Also when its first tokens had come."""
    try_on(door, other_engine)
    other_engine.script(stream(TOKENS))
    await door.post(CHAT_STREAM)
    assert {FAILED + "engine_failed": 1} == figures(door, "canary").counts


async def test_a_clients_mistake_is_no_failure(door: Door, other_engine: ScriptedEngine) -> None:
    """What the engine refuses says nothing of it."""
    try_on(door, other_engine)
    other_engine.script(whole({"error": {"message": "no", "type": "invalid_request_error", "code": 400}}, 400))
    assert 400 == (await door.post(CHAT)).status
    assert {"refused": 1} == figures(door, "canary").counts


async def test_a_client_that_leaves_is_counted_as_that(door: Door, other_engine: ScriptedEngine) -> None:
    """Neither good nor bad."""
    try_on(door, other_engine)
    other_engine.script(asyncio.Event())
    with await door.client() as client:
        await client.post(CHAT)
        await eventually(lambda: other_engine.requests)
    await eventually(lambda: figures(door, "canary").counts)
    assert {"left": 1} == figures(door, "canary").counts


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/v1/chat/completions", CHAT, {"reliability": {"deadlines": {"total_s": 0.1}}}),
        ("/v1/completions", {**COMPLETION, "suffix": "x"}, {"autocomplete": {"deadline_s": 0.1}}),
    ],
    ids=["total", "completion"],
)
async def test_who_lets_the_models_own_time_pass_has_failed(
    path: str, body: dict[str, object], fields: dict[str, Any], door: Door, other_engine: ScriptedEngine
) -> None:
    """Else a canary that answers nobody in time would look as good as one whose clients leave."""
    try_on(door, other_engine, **fields)
    other_engine.script(asyncio.Event())
    assert 504 == (await door.post(body, path)).status
    assert {FAILED + "engine_timeout": 1} == figures(door, "canary").counts


async def test_a_time_of_the_clients_own_is_nobodys_failure(door: Door, other_engine: ScriptedEngine) -> None:
    """The client wanted the answer sooner than the model has it."""
    try_on(door, other_engine, reliability={"deadlines": {"total_s": 60}})
    other_engine.script(asyncio.Event())
    assert 504 == (await door.post(CHAT, headers={"x-request-timeout-s": "0.1"})).status
    assert {"left": 1} == figures(door, "canary").counts


async def test_who_is_asked_when_the_time_is_nearly_over_is_not_late(door: Door, other_engine: ScriptedEngine) -> None:
    """It has not spent it."""
    try_on(door, other_engine, reliability={"deadlines": {"total_s": 10}})
    state, model, now = door.state, door.state.table.resolve("m"), door.state.loop.time()
    [replica] = state.directory.of("new")
    early, late = (noting(state, model, replica, Lane(), now - asked_after_s) for asked_after_s in (1, 6))
    assert early is not None
    assert late is not None
    assert [9, 5] == [round(noted.ends_by - noted.began_at) for noted in (early, late)]


def attempts_at(state: RouterState, model: Model, call: Call) -> Attempts:
    """At an answer that nobody waits for."""
    account = Account(state.sink, state.loop.time(), state.loop.time, call.route.path)
    return Attempts(state, call, model, Keeping(Heard(state.loop.time)), account, b"r")


async def test_an_attempt_that_is_dropped_before_it_began_leaves_nothing(
    door: Door, other_engine: ScriptedEngine
) -> None:
    """As a hedge whose first begins in the same moment: no half of it is made."""
    try_on(door, other_engine)
    state, model = door.state, door.state.table.resolve("m")
    call = parse_call(ROUTES["/v1/chat/completions"], orjson.dumps(CHAT_STREAM))
    attempt = asyncio.create_task(attempts_at(state, model, call)._attempt(call, model, state.directory.of("new")[0]))
    attempt.cancel()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert [asyncio.CancelledError] == [type(one) for one in await asyncio.gather(attempt, return_exceptions=True)]
        del attempt
        gc.collect()
    assert ([], 0) == (told, state.directory.of("new")[0].num_running)


@pytest.mark.parametrize(("others", "second"), [((), None), (("r3",), "r3")], ids=["alone", "one of two"])
async def test_a_slow_canary_is_not_covered_by_the_others(
    others: tuple[str, ...], second: str | None, door: Door, other_engine: ScriptedEngine
) -> None:
    """A hedge asks another replica of its own, or nobody: its times to the first token are what it is judged by."""
    try_on(door, other_engine)
    state, model = door.state, door.state.table.resolve("m")
    state.take_over_replicas("new", [other_engine.replica(name) for name in ("r2", *others)])
    call = parse_call(ROUTES["/v1/chat/completions"], orjson.dumps(CHAT_STREAM))
    attempts = attempts_at(state, model, call)
    asked = attempts._ask_second(call, model, state.directory.of("new")[0], set(), [])
    if asked is not None:
        asked[1].close()
    assert second == (asked and asked[0])


async def test_an_adapter_is_asked_by_its_name(door: Door, engine: ScriptedEngine) -> None:
    """A canary may be an adapter of the engine that runs; another replica of the model is asked by its own."""
    try_on(door, engine, replace(TRIAL, application=APPLICATION, adapter="sql"))
    engine.script(WHOLE)
    await door.post(CHAT)
    assert "sql" == engine.requests[0].document["model"]
    assert {"ok": 1} == figures(door, "canary").counts


async def test_a_model_without_a_canary_is_not_noted(door: Door, engine: ScriptedEngine) -> None:
    """With one backend there is nothing to compare."""
    engine.script(stream(TOKENS, DONE))
    await door.post(CHAT_STREAM)
    assert {} == door.state.tallies.courses(door.state.loop.time())
    assert 0 == door.sink.total(BACKEND_ATTEMPTS)


async def test_a_request_that_the_canary_cannot_take_counts_against_it(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """Its replica is passed over after a failure, and the stable backend is asked at once; its own figures are good."""
    try_on(door, other_engine)
    other_engine.script(Ending.RESET)
    for _ in range(2):
        engine.script(WHOLE)
        assert 200 == (await door.post(CHAT)).status
    assert {FAILED + "engine_unavailable": 1, PASSED_OVER: 1} == figures(door, "canary").counts
    assert {"ok": 2} == figures(door, "stable").counts


async def test_a_canary_without_replicas_is_not_judged(door: Door, engine: ScriptedEngine) -> None:
    """As in its first moment, before the router has heard of them."""
    try_on(door, engine)
    door.state.take_over_replicas("new", [])
    engine.script(WHOLE)
    assert 200 == (await door.post(CHAT)).status
    assert ({}, {"ok": 1}) == (figures(door, "canary").counts, figures(door, "stable").counts)


async def test_a_canary_without_room_is_not_judged(
    door: Door, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The others serve what it may not keep waiting; that it is small is no failure."""
    try_on(door, other_engine, queue={"max_length": 0, "max_ahead": 0})
    [replica] = door.state.directory.of("new")
    replica.max_num_seqs = 1
    replica.begin()
    engine.script(WHOLE)
    assert 200 == (await door.post(CHAT)).status
    replica.end()
    assert ({}, {"ok": 1}) == (figures(door, "canary").counts, figures(door, "stable").counts)
