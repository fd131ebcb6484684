"""A model whose number of replicas follows what its engines have to do. On one node: `make test` has no time for it."""

import asyncio
from collections.abc import Iterator

import pytest
from house import House, open_house
from house_files import free_port, model, router, scaled, serve_file
from streaming_load import Outcome, Pace, sdk, streamed
from waiting import eventually


@pytest.fixture(scope="module")
def elastic() -> Iterator[House]:
    """
    One replica for two requests each, three at most; and a model for any number, as long as streams begin in time.

    Decisions without delay, on the measurements of 2 s.
    """
    prompt = {"upscale_delay_s": 1, "downscale_delay_s": 4, "look_back_period_s": 2, "metrics_interval_s": 1}
    by_load = scaled(model("simulated"), max_replicas=3, target_ongoing_requests=2, **prompt)
    by_ttft = scaled(model("punctual", prefill_base_ms=300), max_replicas=2, target_ongoing_requests=1000, **prompt)
    by_ttft["deployments"][0]["autoscaling_config"]["policy"]["policy_kwargs"] = {"target_ttft_s": 0.1}
    with open_house(serve_file(router(free_port(), {"simulated": [], "punctual": []}), [by_load, by_ttft])) as house:
        yield house


async def test_replicas_come_with_the_load_and_go_after_it(elastic: House) -> None:
    """Five streams for two a replica need three; when they are over one is left, and no stream was broken."""
    assert 1 == len(elastic.engines("simulated"))
    outcomes = [Outcome() for _ in range(5)]
    async with sdk(elastic) as client:
        streams = [asyncio.create_task(streamed(client, Pace(200, token_ms=100), outcome)) for outcome in outcomes]
        await eventually("three replicas run", lambda: len(elastic.engines("simulated")) == 3, 60)
        await asyncio.gather(*streams)
        await eventually("one replica is left", lambda: len(elastic.engines("simulated")) == 1, 60)
        last = await streamed(client, Pace(3), Outcome())
    assert [True] * 6 == [outcome.is_whole for outcome in [*outcomes, last]]


async def test_replicas_come_when_streams_begin_too_late(elastic: House) -> None:
    """One request at a time is no load; but each takes three times as long to begin as somebody wants to wait."""
    assert 1 == len(elastic.engines("punctual"))
    async with sdk(elastic) as client:

        async def ask() -> None:
            while len(elastic.engines("punctual")) < 2:
                stream = await client.completions.create(model="punctual", prompt="x", max_tokens=2, stream=True)
                async for _ in stream:
                    pass

        await asyncio.wait_for(ask(), 60)
    await eventually("one replica is left", lambda: len(elastic.engines("punctual")) == 1, 60)
