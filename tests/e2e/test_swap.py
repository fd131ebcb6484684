"""Two models that take turns on one GPU: simulated ones on a GPU with room for one, and real ones on llama.cpp."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import openai
import pytest
from house import ROOT, House, open_house
from house_files import Json, free_port, model, router, serve_file
from streaming_load import sdk
from waiting import wait_for

pytestmark = pytest.mark.houses

NAMES = ("one", "two")
GROUP = {"group": "shared", "min_awake_s": 0.5, "max_wait_s": 60}


def house_file(**args: object) -> Json:
    models = [model(name, swap=dict(GROUP), **args) for name in NAMES]
    table = router(free_port(), {name: [] for name in NAMES})
    table["deployments"][0]["user_config"]["requests"] = {"early_headers_s": 0.1}
    return serve_file(table, models)


@pytest.fixture(scope="module")
def gpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gpu") / "memory"


@pytest.fixture(scope="module")
def simulated_house(gpu: Path) -> Iterator[House]:
    with open_house(house_file(gpu_file=str(gpu), inter_token_ms=5, wake_delay_s=1.2)) as house:
        yield house


async def told(client: openai.AsyncOpenAI, name: str, num_tokens: int = 8, **options: object) -> int:
    """The number of tokens of one streamed answer, which is whole."""
    stream = await client.chat.completions.create(
        model=name, messages=[{"role": "user", "content": "Tell me about the sea."}], temperature=0,
        max_tokens=num_tokens, stream=True, stream_options={"include_usage": True},
        extra_headers={"x-enginehouse-cache": "off"}, extra_body=options or None,
    )  # fmt: skip
    reasons, num_told = [], 0
    async for chunk in stream:
        num_told = chunk.usage.completion_tokens if chunk.usage else num_told
        reasons += [choice.finish_reason for choice in chunk.choices if choice.finish_reason]
    assert 1 == len(reasons)
    return num_told


def swaps(house: House, name: str) -> int:
    """How often a model woke, by its replicas' logs."""
    return house.replica_logs(name).count("is awake")


def holders(gpu: Path) -> list[str]:
    """Who took and gave the GPU's memory, in order, by the engines' own notes."""
    return [line.partition(" ")[2] for line in gpu.read_text().splitlines()]


def assert_one_at_a_time(gpu: Path) -> None:
    """Each that takes the memory gives it back before another takes it."""
    notes = holders(gpu)
    pairs = [(notes[number], notes[number + 1]) for number in range(0, len(notes) - 1, 2)]
    assert all(one.endswith(" takes") for one in notes[::2])
    assert [(one, one.replace("takes", "gives")) for one, _ in pairs] == pairs


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


async def test_a_killed_replica_leaves_no_lease(simulated_house: House, gpu: Path) -> None:
    """The other model wakes at once, and the killed one's successor has its turn later."""
    async with sdk(simulated_house) as client:
        await told(client, "one")
        engine = simulated_house.engines("one")[0]
        simulated_house.owner_of(engine).kill()
        assert 8 == await told(client, "two")
        assert 8 == await told(client, "one")
    assert holders(gpu)[-2:] == ["two gives", "one takes"]
    await asyncio.to_thread(simulated_house.wait_whole)


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


def test_status_says_who_is_awake(simulated_house: House) -> None:
    """And who is not."""
    words = wait_for("both are told of", lambda: _status(simulated_house))
    assert 1 == words.count(" awake for")
    assert 1 == words.count(" asleep for")


def _status(house: House) -> str:
    address = next(line.partition(": ")[2] for line in house.output().splitlines() if line.startswith("Ray address: "))
    done = subprocess.run(
        [sys.executable, "-m", "deployments.cli", "status", "--address", address],
        cwd=ROOT, env=house.environment, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return next((line for line in done.stdout.splitlines() if "group shared: one" in line and "two" in line), "")


@contextmanager
def most_at_once(house: House) -> Iterator[list[int]]:
    """The numbers of engines that ran at once, as they are seen a few times a second."""
    seen: list[int] = []
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(0.02):
            seen.append(len(house.engines()))

    watcher = threading.Thread(target=look)
    watcher.start()
    yield seen
    is_over.set()
    watcher.join()


async def test_llama_cpp_models_take_turns() -> None:
    """Two of them answer alternately, whole, and never do two of their processes run."""
    file = house_file(engine="llama_cpp", max_model_len=256, max_num_seqs=2, num_threads=2)
    with open_house(file) as house, most_at_once(house) as seen:
        async with sdk(house) as client:
            for _ in range(2):
                for name in NAMES:
                    assert [8, 8] == await asyncio.gather(told(client, name), told(client, name))
            first = await told(client, "one")
            house.owner_of(house.engines("one")[0]).kill()
            assert [8, 8, 8] == [first, await told(client, "two"), await told(client, "one")]
    assert {0, 1} >= set(seen)
    assert 1 in seen
