"""`deployments/swap_demand.py`: by what routers say, the dead ones among them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from deployments import swap_demand
from deployments.load.board import Board
from deployments.swap_demand import until_asked_for
from router.load.report import RouterLoad

Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


class Routers:
    """What they say; `living` ones say it anew at each look."""

    def __init__(self) -> None:
        self.num_looks = 0
        self.living: dict[str, RouterLoad] = {}
        self.dead: dict[str, RouterLoad] = {}

    def read_board(self, replica_ids: Sequence[str]) -> Board:
        assert () == replica_ids
        self.num_looks += 1
        words = {name: (self.num_looks, load) for name, load in self.living.items()}
        return Board({}, {**words, **{name: (7, load) for name, load in self.dead.items()}})


@pytest.fixture
def routers(monkeypatch: pytest.MonkeyPatch) -> Routers:
    made = Routers()
    monkeypatch.setattr(swap_demand, "read_board", made.read_board)
    monkeypatch.setattr(swap_demand, "INTERVAL_S", 0.01)
    return made


async def test_one_that_waits_at_any_router_asks(routers: Routers) -> None:
    """Each has its own clients."""
    routers.living = {"idle": RouterLoad({"other": 3}), "busy": RouterLoad({"mine": 1})}
    await asyncio.wait_for(until_asked_for("mine"), 60)


async def test_the_dead_and_those_who_want_another_ask_for_nothing(routers: Routers, eventually: Eventually) -> None:
    """A killed router's last word stays for ever."""
    routers.living, routers.dead = {"living": RouterLoad({"other": 1})}, {"dead": RouterLoad({"mine": 1})}
    asking = asyncio.create_task(until_asked_for("mine"))
    await eventually(lambda: routers.num_looks > 3)
    assert not asking.done()
    routers.living["living"] = RouterLoad({"mine": 1})
    await asyncio.wait_for(asking, 60)
