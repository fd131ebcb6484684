"""A model whose engine does not start, and the other engine that serves it meanwhile."""

from collections.abc import Iterator

import pytest
from house import House, open_house
from house_files import free_port, model, router, serve_file, with_fallbacks
from streaming_load import Pace, sdk, whole


@pytest.fixture(scope="module")
def half_house() -> Iterator[House]:
    """`simulated` is to run on llama.cpp with weights that are not there, or else on the simulated engine."""
    table = with_fallbacks(router(free_port(), {"simulated": []}), simulated=["spare"])
    broken = model("simulated", engine="llama_cpp", model_source="/nowhere/weights.gguf")
    spare = model("spare")
    with open_house(serve_file(table, [broken, spare])) as house:
        yield house


async def test_the_fallback_serves_and_the_failure_is_told(half_house: House) -> None:
    """The command is ready, says which application failed and why, and the model answers by its own name."""
    async with sdk(half_house) as client:
        outcome = await whole(client, Pace(5))
    told = "no weights at /nowhere/weights.gguf" in half_house.output()
    assert (True, True, True) == (outcome.is_whole, told, "Its fallbacks serve meanwhile." in half_house.output())
