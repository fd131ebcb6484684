"""Rules that choose a model in a running house, and tables that it takes over or refuses."""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.error import URLError

import openai
import pytest
import pytest_asyncio
from house import ROOT, House, open_house
from house_files import Json, free_port, model, router, router_of, serve_file
from prometheus_scrape import exported_name, scrape
from raw_http import ask, post, request
from streaming_load import sdk
from waiting import DEADLINE_S, eventually

from router.metrics import ROUTED

pytestmark = pytest.mark.houses

ROUTE = "x-enginehouse-route"
RULES = [
    {"name": "agent", "when": {"has_tools": True}, "model": "big"},
    {"name": "rest", "model": "small"},
]
TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
HELLO: Any = [{"role": "user", "content": "hello"}]


def user_config(file: Json) -> Json:
    found: Json = router_of(file)["deployments"][0]["user_config"]
    return found


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """Two simulated models, and `auto` before them."""
    file = serve_file(router(free_port(), {"small": [], "big": []}), [model("small"), model("big")])
    user_config(file)["auto"] = {"auto": {"rules": RULES}}
    user_config(file)["models"]["small"]["limits"] = {"max_completion_tokens": 5, "max_prompt_tokens": 2000}
    with open_house(file) as opened:
        yield opened


@pytest_asyncio.fixture
async def client(house: House) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk(house) as opened:
        yield opened


async def routed(client: openai.AsyncOpenAI, **fields: Any) -> tuple[str | None, str]:
    """The header that says who answered, and the model that the engine names."""
    create = client.chat.completions.with_raw_response.create
    raw = await create(**{"model": "auto", "messages": HELLO, "max_tokens": 8, **fields})
    return raw.headers.get(ROUTE), raw.parse().model


def num_routed(house: House, rule: str) -> float:
    """0 as long as nothing is exported."""
    with contextlib.suppress(URLError):
        return scrape(house).total(exported_name(ROUTED), rule=rule)
    return 0


def status(house: House) -> tuple[int, str]:
    """The exit code of `enginehouse status`, and what it prints."""
    address = re.search(r"Ray address: (\S+)", house.output())
    assert address
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli", "status", "--address", address[1]],
        cwd=ROOT, env=house.environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def table(house: House) -> Json:
    """What `/v1/models` says of the model table."""
    found: Json = json.loads(ask(house.port, request("GET", "/v1/models")).body)["table"]
    return found


async def test_rules_choose_and_the_answer_says_so(house: House, client: openai.AsyncOpenAI) -> None:
    """With the SDK, whole and streamed; the list of models has the name for editors to pick."""
    assert ("model=small; application=small; rule=auto/rest", "small") == await routed(client)
    assert ("model=big; application=big; rule=auto/agent", "big") == await routed(client, tools=[TOOL])
    stream = await client.chat.completions.with_raw_response.create(
        model="auto", messages=HELLO, max_tokens=8, stream=True, tools=[TOOL]
    )
    assert "model=big; application=big; rule=auto/agent" == stream.headers[ROUTE]
    assert {"big"} == {chunk.model async for chunk in stream.parse()}
    assert "auto" in {each.id async for each in client.models.list()}
    await eventually("the choices are exported", lambda: num_routed(house, "auto/agent") == 2)


async def test_limits_of_the_model_that_was_chosen_hold(client: openai.AsyncOpenAI) -> None:
    """A completion is cut, and a prompt that is too long is refused, whatever name was asked for."""
    answer = await client.chat.completions.create(model="auto", messages=HELLO, max_tokens=400)
    assert (5, "length") == (answer.usage and answer.usage.completion_tokens, answer.choices[0].finish_reason)
    with pytest.raises(openai.BadRequestError, match="this model takes 2000 here"):
        await routed(client, messages=[{"role": "user", "content": "x" * 9000}])


async def test_a_table_with_a_new_application_is_taken_over(house: House, client: openai.AsyncOpenAI) -> None:
    """One file brings a model and the rule that leads to it; the engines of the others go on."""
    before = {engine.pid for engine in house.engines()}

    def change(file: Json) -> None:
        file["applications"].append(model("extra"))
        user_config(file)["models"]["extra"] = {"application": "extra"}
        user_config(file)["auto"]["auto"]["rules"] = [{"name": "all", "model": "extra"}]

    await asyncio.to_thread(house.redeploy, change)

    def route() -> str | None:
        return ask(house.port, post({"model": "auto", "messages": HELLO, "max_tokens": 1})).headers.get(ROUTE)

    expected = "model=extra; application=extra; rule=auto/all"
    await eventually("the new model answers", lambda: route() == expected)
    assert (expected, "extra") == await routed(client)
    assert before < {engine.pid for engine in house.engines()}


async def test_a_table_that_leads_nowhere_is_refused_with_its_reason(house: House, client: openai.AsyncOpenAI) -> None:
    """
    To an application that Serve does not have, to one that is no model, and to an adapter that an engine does not have:
    the table before it serves, and `/v1/models`, the log and the status say why.
    """
    route, _ = await routed(client)
    before = {one.pid for one in house.routers()}

    def change(file: Json) -> None:
        models = user_config(file)["models"]
        models["small"]["application"] = "smaller"
        models["big"]["adapter"] = "sql"
        models["own"] = {"application": "router"}

    def mend(file: Json) -> None:
        models = user_config(file)["models"]
        models["small"]["application"] = "small"
        del models["big"]["adapter"], models["own"]

    await asyncio.to_thread(house.redeploy, change)
    await eventually("it is refused", lambda: table(house)["status"] == "refused")
    reasons = [
        "models.small.application: Serve has no application 'smaller'; did you mean 'small'?",
        "models.own.application: the application 'router' is no model: its import_path is not 'deployments.app:model'",
        "models.big.adapter: the application 'big' has no LoRA adapter 'sql'",
    ]
    assert reasons == table(house)["refused"]["reason"].splitlines()
    assert [] == [reason for reason in reasons if reason not in house.replica_logs("router")]
    exit_code, told = await asyncio.to_thread(status, house)
    assert 1 == exit_code
    assert [] == [reason for reason in reasons if f"router 1:   {reason}\n" not in told]
    assert "router 1: serves small, big" in told
    assert (route, before) == ((await routed(client))[0], {one.pid for one in house.routers()})
    await asyncio.to_thread(house.redeploy, mend)
    await eventually("a better one is taken over", lambda: table(house) == {"status": "ok", "refused": None})


async def test_a_table_in_force_that_leads_nowhere_any_more_is_told(house: House) -> None:
    """Its application was removed from the file, and the table was not: it is said in the same three places."""

    def change(file: Json) -> None:
        file["applications"] = [each for each in file["applications"] if each["name"] != "extra"]

    await asyncio.to_thread(house.redeploy, change)
    await eventually("it is told", lambda: table(house)["status"] == "unfit")
    reason = "models.extra.application: Serve has no application 'extra'"
    assert reason == table(house)["unfit"]["reason"]
    assert f"does not fit the engines that there are: {reason}" in house.replica_logs("router")
    exit_code, told = await asyncio.to_thread(status, house)
    assert (1, True) == (exit_code, f"router 1:   {reason}\n" in told)
