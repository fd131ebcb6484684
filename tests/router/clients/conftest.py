"""Clients' own programs, which are not collected but where `make test-clients` has installed them."""

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).parents[2] / "engine_support"))

from calling_engine import SECRET, CallingEngine
from door import Door, OpenDoor
from engines_behind_doors import running_replica

CONTEXT = 400_000
"""In tokens. The stand-in's are characters, of which an agent's first turn has 80,000."""

collect_ignore_glob = [] if "ENGINEHOUSE_TEST_CLIENTS" in os.environ else ["test_*.py"]


@pytest_asyncio.fixture
async def calling_engine(tmp_path: Path) -> AsyncIterator[CallingEngine]:
    """With the file `a.txt`, in which the secret is, in the test's folder."""
    (tmp_path / "a.txt").write_text(f"The secret word is {SECRET}.\n", encoding="utf-8")
    engine = CallingEngine()
    await engine.start()
    yield engine
    await engine.stop()


@pytest_asyncio.fixture
async def keyed_door(open_door: OpenDoor, calling_engine: CallingEngine) -> Door:
    door = await open_door(keys=["k1"])
    door.serve_with(calling_engine.replica("r1"))
    return door


@pytest_asyncio.fixture(params=["tensorrt_llm", "simulated"])
async def engine_door(request: pytest.FixtureRequest, open_door: OpenDoor) -> AsyncIterator[Door]:
    """A router before an engine itself, as its replica runs it: the stand-in for TensorRT-LLM's, or the simulated."""
    door = await open_door(keys=["k1"])
    async with running_replica(request.param, CONTEXT) as replica:
        door.serve_with(replica)
        yield door
