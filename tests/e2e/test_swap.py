"""Two models that take turns on a simulated GPU, which has room for one and makes a second one fail."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import openai
import pytest
from house import ROOT, House, open_house
from house_files import Json, model, models_of, router_of, scaled
from prometheus_scrape import exported_name, scrape
from streaming_load import Outcome, Pace, sdk, streamed
from taking_turns import GROUP, NAMES, assert_one_at_a_time, holders, house_file, swaps, told
from waiting import DEADLINE_S, eventually, wait_for

from router.metrics import AWAKE, SWAP_STATE_TIME, SWAP_TIME, SWAPS, Metric

pytestmark = pytest.mark.houses


@pytest.fixture(scope="module")
def gpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gpu") / "memory"


@pytest.fixture(scope="module")
def simulated_house(gpu: Path) -> Iterator[House]:
    engine = {"gpu_file": str(gpu), "inter_token_ms": 5, "wake_delay_s": 1.2}
    hasty = model("hasty", swap={**GROUP, "max_wait_s": 1}, **engine)
    with open_house(house_file(hasty, **engine)) as house:
        yield house


async def test_both_are_answered_whole_under_constant_load(simulated_house: House, gpu: Path) -> None:
    """Four clients of each model ask without pause, across several swaps, and nobody starves."""
    async with sdk(simulated_house) as client:
        begun = {name: swaps(simulated_house, name) for name in NAMES}
        lengths: dict[str, list[int]] = {name: [] for name in NAMES}

        def is_over() -> bool:
            return all(swaps(simulated_house, name) >= begun[name] + 3 for name in NAMES)

        async def asks(name: str) -> None:
            while not await asyncio.to_thread(is_over):
                lengths[name].append(await told(client, name))

        await asyncio.gather(*(asks(name) for name in NAMES for _ in range(4)))
    assert {name: {8} for name in NAMES} == {name: set(each) for name, each in lengths.items()}
    assert_one_at_a_time(gpu)


async def test_an_answer_from_the_cache_wakes_nobody(simulated_house: House) -> None:
    """The model that gave it sleeps on."""
    async with sdk(simulated_house) as client:

        async def outcome() -> str | None:
            asked = client.completions.with_raw_response
            ends_itself = {"simulated": {"num_tokens": 4}}
            answer = await asked.create(model="one", prompt="Once", temperature=0, extra_body=ends_itself)
            return answer.headers["x-enginehouse-cache"]

        assert "miss" == await outcome()
        await told(client, "two")
        num_swaps = swaps(simulated_house, "one")
        assert "hit" == await outcome()
        await told(client, "two")
    assert num_swaps == swaps(simulated_house, "one")


async def test_one_that_waits_in_vain_is_told_when_to_come_again(simulated_house: House) -> None:
    """Its model does not get the GPU in time, for another's answer is not cut short."""
    async with sdk(simulated_house) as client:
        long = Outcome()
        telling = asyncio.create_task(streamed(client, Pace(4000, token_ms=50), long, "two"))
        await eventually("it is being told", lambda: long.num_chunks)
        with pytest.raises(openai.InternalServerError, match="was not free for it within 1 s") as failure:
            await client.completions.create(model="hasty", prompt="Hi", max_tokens=2)
        assert (503, "engine_overloaded") == (failure.value.status_code, failure.value.code)
        assert int(failure.value.response.headers["retry-after"]) > 0
        num_told = long.num_chunks
        await eventually("it is told on", lambda: long.num_chunks > num_told + 10)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def test_a_killed_replica_leaves_no_lease(simulated_house: House, gpu: Path) -> None:
    """
    The other model wakes at once, and is asked all the time; the killed one's successor has its turn when somebody
    asks for it.
    """
    async with sdk(simulated_house) as client:
        await told(client, "one")
        engine = simulated_house.engines("one")[0]
        simulated_house.owner_of(engine).kill()
        assert 8 == await told(client, "two")
        using = asyncio.create_task(_use(client, "two"))
        assert 8 == await told(client, "one")
        assert "one takes" in holders(gpu)[-3:]
        assert not using.done()
        using.cancel()
        await asyncio.gather(using, return_exceptions=True)
    await asyncio.to_thread(simulated_house.wait_whole)


async def _use(client: openai.AsyncOpenAI, name: str) -> None:
    while True:
        assert 8 == await told(client, name)


async def test_a_killed_engine_leaves_no_lease(simulated_house: House) -> None:
    """The same for the engine alone, whose replica is then replaced."""
    async with sdk(simulated_house) as client:
        await told(client, "one")
        simulated_house.engines("one")[0].process.kill()
        assert [8, 8] == [await told(client, "two"), await told(client, "one")]
    await asyncio.to_thread(simulated_house.wait_whole)


async def test_a_stream_that_waits_is_kept_alive(simulated_house: House) -> None:
    """Its headers and a sign of life come before its model is awake."""
    body = {"model": "one", "prompt": "Hi", "max_tokens": 2, "stream": True, "ignore_eos": True}
    async with sdk(simulated_house) as client, aiohttp.ClientSession() as session:
        await told(client, "two")
        async with session.post(f"{simulated_house.base_url}/completions", json=body) as answer:
            text = await answer.text()
    assert text.startswith(": keep-alive\n\n")
    assert text.endswith("data: [DONE]\n\n")


def test_metrics_tell_the_swaps(simulated_house: House) -> None:
    """Both ways, with what they took, and how long each model slept; one is awake, and each says whether it is."""

    def told_of() -> bool:
        values = scrape(simulated_house)

        def total(metric: Metric, suffix: str = "", **labels: str) -> float:
            return values.total(exported_name(metric) + suffix, **labels)

        took = total(SWAP_TIME, "_sum", model="two", state="awake")
        both_ways = [total(SWAPS, model=name, state=state) for name in NAMES for state in ("awake", "asleep")]
        slept_s = [total(SWAP_STATE_TIME, model=name, state="asleep") for name in NAMES]
        awake = sorted((labels["model"], value) for labels, value in values.of(exported_name(AWAKE)))
        are_all_there = [name for name, _ in awake] == sorted((*NAMES, "hasty"))
        return all(both_ways) and took > 1 and all(slept_s) and are_all_there and total(AWAKE) == 1

    wait_for("the metrics say so", told_of)


def test_status_says_who_is_awake(simulated_house: House) -> None:
    """And who sleeps, once all three have a state, and have told it."""

    def numbers() -> tuple[int, int]:
        line = _status(simulated_house)
        return line.count(" awake for"), line.count(" asleep for")

    wait_for("one is awake", lambda: numbers() == (1, 2))


def _status(house: House) -> str:
    address = next(line.partition(": ")[2] for line in house.output().splitlines() if line.startswith("Ray address: "))
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli", "status", "--address", address],
        cwd=ROOT, env=house.environment, capture_output=True, text=True, timeout=DEADLINE_S, check=True,
    )  # fmt: skip
    return next((line for line in done.stdout.splitlines() if "group shared: hasty" in line and "two" in line), "")


async def test_an_update_and_a_scale_to_zero_leave_no_lease(simulated_house: House) -> None:
    """Both models are asked all the time, and whole answers are all that comes."""
    num_before = simulated_house.num_started("one")
    async with sdk(simulated_house) as client:
        asking = asyncio.create_task(_ask_until(client, lambda: simulated_house.num_started("one") > num_before))
        await asyncio.to_thread(simulated_house.redeploy, _update_to_sleeper)
        assert {8} == await asking
        await eventually("it has no replica", lambda: not simulated_house.engines("one"))
        assert [8, 8] == [await told(client, "two"), await told(client, "one")]


async def _ask_until(client: openai.AsyncOpenAI, is_over: Callable[[], bool]) -> set[int]:
    """The numbers of tokens of all answers of both models."""
    lengths = set()
    while not await asyncio.to_thread(is_over):
        lengths |= set(await asyncio.gather(*(told(client, name) for name in NAMES)))
    return lengths


def _update_to_sleeper(file: Json) -> None:
    """`one` is another model from now on, and has no replica while nobody asks for it."""
    one, table = models_of(file)[0], router_of(file)
    one["args"]["prefill_base_ms"] = 1
    scaled(one, min_replicas=0, max_replicas=1, downscale_to_zero_delay_s=2, downscale_delay_s=1)
    table["deployments"][0]["user_config"]["models"]["one"]["wake"] = {"timeout_s": 180}
