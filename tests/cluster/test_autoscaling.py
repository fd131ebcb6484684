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
    """One replica for two requests each, three at most; decisions without delay, on the measurements of 2 s."""
    application = scaled(
        model("simulated"),
        min_replicas=1,
        max_replicas=3,
        target_ongoing_requests=2,
        upscale_delay_s=1,
        downscale_delay_s=4,
        look_back_period_s=2,
        metrics_interval_s=1,
    )
    with open_house(serve_file(router(free_port(), {"simulated": []}), [application])) as house:
        yield house


async def test_replicas_come_with_the_load_and_go_after_it(elastic: House) -> None:
    """Five streams for two a replica need three; when they are over one is left, and no stream was broken."""
    assert 1 == len(elastic.engines())
    outcomes = [Outcome() for _ in range(5)]
    async with sdk(elastic) as client:
        streams = [asyncio.create_task(streamed(client, Pace(200, token_ms=100), outcome)) for outcome in outcomes]
        await eventually("three replicas run", lambda: len(elastic.engines()) == 3, 60)
        await asyncio.gather(*streams)
        await eventually("one replica is left", lambda: len(elastic.engines()) == 1, 60)
        last = await streamed(client, Pace(3), Outcome())
    assert [True] * 6 == [outcome.is_whole for outcome in [*outcomes, last]]
