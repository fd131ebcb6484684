"""A model is moved to another application while requests for it wait and run: each keeps the table it began with."""

import asyncio
from collections.abc import Iterator

import openai
import pytest
from house import House, open_house
from house_files import Json, free_port, model, router, router_of, serve_file
from openai.types import Completion
from prometheus_scrape import exported_name, scrape
from streaming_load import PROMPT, Outcome, Pace, sdk, streamed
from waiting import eventually

from router.metrics import QUEUED

pytestmark = pytest.mark.houses

LONG, SHORT = Pace(250, token_ms=100), Pace(2)
"""The long one goes on until metrics have told of a request that waits behind it."""


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """`simulated` is served by `one`, which runs one request at a time, and `other` by `two`."""
    table = router(free_port(), {"simulated": [], "other": []}, listener={"request_timeout_s": 2})
    rows = table["deployments"][0]["user_config"]["models"]
    rows["simulated"] = {"application": "one", "queue": {"max_ahead": 0}}
    rows["other"]["application"] = "two"
    with open_house(serve_file(table, [model("one", max_num_seqs=1), model("two", max_num_seqs=1)])) as house:
        yield house


async def test_who_waits_in_the_queue_is_answered_where_it_waits(house: House) -> None:
    """New requests go elsewhere meanwhile; and once nobody needs the old application, its replicas are let go."""
    running = Outcome()
    async with sdk(house) as client:
        stream = asyncio.create_task(streamed(client, LONG, running))
        await eventually("the only slot is taken", lambda: running.num_chunks)
        waiting = asyncio.create_task(_asked(client))
        await eventually("the next request waits", lambda: scrape(house).total(exported_name(QUEUED)) == 1)
        num_tables = house.replica_logs("router").count("model table:")
        await asyncio.to_thread(house.redeploy, _move)
        await eventually(
            "the router has the new table", lambda: house.replica_logs("router").count("model table:") > num_tables
        )
        assert "two" == (await _asked(client)).model
        await stream
        assert "one" == (await waiting).model
    assert (True, LONG.num_tokens) == (running.is_whole, running.num_chunks)
    await eventually("the old replica is let go", lambda: "replicas of one: none" in house.replica_logs("router"))
    assert "No replica of" not in house.replica_logs("router")


def _move(file: Json) -> None:
    router_of(file)["deployments"][0]["user_config"]["models"]["simulated"]["application"] = "two"


async def _asked(client: openai.AsyncOpenAI) -> Completion:
    return await client.completions.create(model="simulated", prompt=PROMPT, extra_body=SHORT.extra_body)
