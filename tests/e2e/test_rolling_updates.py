"""Changes to a running house, brought by `serve deploy`: nobody notices."""

import asyncio
import json
from collections.abc import Callable

from house import House
from house_files import KEYS, Json, models_of, router_of
from raw_http import ask, request
from streaming_load import Outcome, Pace, load, sdk, streamed, whole
from waiting import eventually

LONG = Pace(100, token_ms=50)


async def test_a_rolling_update_of_the_routers_loses_nothing(pair: House) -> None:
    """New `args` of the router replace both routers while keep-alive clients and streams all succeed."""
    before = {router.pid for router in pair.routers()}

    def change(file: Json) -> None:
        router_of(file)["args"]["listener"]["keep_alive_s"] = 60

    await _update_under_load(
        pair, change, lambda: len({router.pid for router in pair.routers()} - before) == 2 == len(pair.routers())
    )


async def test_a_rolling_update_of_a_model_loses_nothing(pair: House) -> None:
    """New `args` of a model replace both its replicas while every request and every stream succeeds."""
    before = {engine.pid for engine in pair.engines()}

    def change(file: Json) -> None:
        models_of(file)[0]["args"]["max_num_seqs"] = 128

    await _update_under_load(
        pair, change, lambda: len({engine.pid for engine in pair.engines()} - before) == 2 == len(pair.engines())
    )
    assert {128} == {engine.launch["max_num_seqs"] for engine in pair.engines()}


async def _update_under_load(house: House, change: Callable[[Json], None], is_done: Callable[[], bool]) -> None:
    async with sdk(house) as client:
        expected = (await whole(client, Pace(100))).text
    async with load(house, num_clients=8, pace=LONG) as account:
        await asyncio.to_thread(house.redeploy_by_command, change)
        await eventually("both replicas are new", is_done)
    assert [] == account.failures
    assert account.num_with(expected) >= 8
    assert len(account.outcomes) >= 100


# the model table


async def test_a_new_alias_is_taken_over_in_place(pair: House) -> None:
    """A new `user_config` reaches every router without a restart, and a running stream does not notice."""
    before = {router.pid for router in pair.routers()}
    outcome = Outcome()
    async with sdk(pair) as client:
        expected = (await whole(client, Pace(100))).text
        stream = asyncio.create_task(streamed(client, Pace(100, token_ms=80), outcome))
        await eventually("the stream has begun", lambda: outcome.num_chunks)
        await asyncio.to_thread(pair.redeploy, lambda file: _aliases(file, ["default", "fresh"]))
        await _every_router_lists(pair, {"simulated", "default", "fresh"})
        await stream
    assert (expected, None) == (outcome.text, outcome.error)
    assert before == {router.pid for router in pair.routers()}


async def test_an_invalid_model_table_is_refused(pair: House) -> None:
    """A `user_config` that is not valid leaves the one before it in force, on routers that go on."""
    before = {router.pid for router in pair.routers()}
    async with sdk(pair) as client:
        known = {model.id async for model in client.models.list()}
    num_refused = pair.replica_logs("router").count("user_config is not valid")
    await asyncio.to_thread(pair.redeploy, lambda file: _aliases(file, ["no good name"]))
    try:
        await eventually(
            "both routers have refused it",
            lambda: pair.replica_logs("router").count("user_config is not valid") == num_refused + 2,
        )
        await _every_router_lists(pair, known)
        assert before == {router.pid for router in pair.routers()}
    finally:
        await asyncio.to_thread(pair.redeploy, lambda file: _aliases(file, ["default"]))
    await _every_router_lists(pair, {"simulated", "default"})


def _aliases(file: Json, aliases: list[str]) -> None:
    router_of(file)["deployments"][0]["user_config"]["models"]["simulated"]["aliases"] = aliases


async def _every_router_lists(house: House, names: set[str]) -> None:
    """Returns once new connections, enough of them to reach every router, all find exactly these models."""
    header = {"authorization": f"Bearer {KEYS[0]}"}

    def lists() -> bool:
        answers = [ask(house.port, request("GET", "/v1/models", **header)) for _ in range(24)]
        return all(names == {card["id"] for card in json.loads(answer.body)["data"]} for answer in answers)

    await eventually(f"every router lists {names}", lists)
