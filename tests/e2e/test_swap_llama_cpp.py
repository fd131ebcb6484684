"""Two models of llama.cpp that take turns: real weights, and processes that end and start again."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from house import House, open_house
from streaming_load import sdk
from taking_turns import NAMES, house_file, told

pytestmark = pytest.mark.houses


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


async def test_two_models_take_turns() -> None:
    """They answer alternately, whole, and never do two of their processes run."""
    file = house_file(engine="llama_cpp", max_model_len=256, max_num_seqs=2, num_threads=1)
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
