"""Conversations that meet their KV cache again: a real router before simulated engines, which count what they reuse."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import orjson
import pytest
import pytest_asyncio
from door import APPLICATION, Door, OpenDoor
from polling import eventually
from scripted_engine import Ending, ScriptedEngine
from simulated_engines import SimulatedEngine
from wire import WHOLE

from configs.router import ModelRoute, RouterUserConfig
from router.metrics import PICKS
from router.models.table import ModelTable
from router.replicas.registry import WARM_UP_S, Figures

NUM_ENGINES = 4
SYSTEM = {"role": "system", "content": "You are an agent with many tools. " * 600}
"""About 20 KB."""


@pytest_asyncio.fixture
async def engines() -> AsyncIterator[list[SimulatedEngine]]:
    """Four replicas' engines."""
    started = [await SimulatedEngine.start() for _ in range(NUM_ENGINES)]
    yield started
    for engine in started:
        await engine.stop()


@pytest_asyncio.fixture
async def door(open_door: OpenDoor, engines: list[SimulatedEngine]) -> Door:
    """A router with four replicas, `r0` to `r3`."""
    opened = await open_door()
    opened.serve_with(*(engine.replica(f"r{index}") for index, engine in enumerate(engines)))
    return opened


@dataclass(slots=True)
class Conversation:
    """An agent's: a question, then turn after turn with the result of a tool in it."""

    number: int
    messages: list[dict[str, str]] = field(default_factory=list)
    num_prompt_tokens: int = 0
    num_reusable: int = 0
    num_reused: int = 0

    def __post_init__(self) -> None:
        self.messages = [SYSTEM, {"role": "user", "content": f"Mend issue {self.number}. " * 20}]

    async def ask(self, door: Door, **headers: str) -> None:
        """One turn. All of the prompt before it could be reused."""
        body = {"model": "m", "messages": self.messages, "max_tokens": 1}
        usage = orjson.loads((await door.post(body, headers=headers)).body)["usage"]
        self.num_reusable += self.num_prompt_tokens
        self.num_reused += min(self.num_prompt_tokens, usage["prompt_tokens_details"]["cached_tokens"])
        self.num_prompt_tokens = usage["prompt_tokens"]
        self.messages.append({"role": "assistant", "content": "Let me read that file."})
        self.messages.append({"role": "tool", "content": f"line {len(self.messages)} " * 650, "tool_call_id": "1"})


async def converse(door: Door, conversations: list[Conversation], num_turns: int) -> float:
    """Four conversations at a time, turn after turn. Returns the share of the reusable tokens that was reused."""
    for _ in range(num_turns):
        for start in range(0, len(conversations), 4):
            await asyncio.gather(*(one.ask(door) for one in conversations[start : start + 4]))
    return sum(one.num_reused for one in conversations) / sum(one.num_reusable for one in conversations)


def picks(door: Door) -> Counter[str]:
    return Counter(record.labels["reason"] for record in door.sink.of(PICKS))


def use_least_busy(door: Door) -> None:
    route = ModelRoute(application=APPLICATION, replica_choice="least_busy")
    config = RouterUserConfig(models={"m": route}, requests=door.state.table.requests)
    door.state.take_over_table(ModelTable(config))


async def test_agents_find_nine_tenths_of_their_prompts_again(door: Door, engines: list[SimulatedEngine]) -> None:
    """Twelve conversations of ten turns, 20 to 70 KB each; all replicas have a part in them."""
    conversations = [Conversation(number) for number in range(12)]
    assert await converse(door, conversations, 10) >= 0.9
    assert 60_000 <= conversations[0].num_prompt_tokens * 4 <= 80_000
    assert {"affine": 120} == picks(door)
    assert [] == [engine for engine in engines if engine.scheduler.counters.num_finished == 0]


async def test_the_least_busy_replica_has_not_read_the_prompt(door: Door, engines: list[SimulatedEngine]) -> None:
    """The setting `least_busy` deals conversations out as if each turn were the first."""
    use_least_busy(door)
    conversations = [Conversation(number) for number in range(3)]
    assert await converse(door, conversations, 5) < 0.9
    assert {"least_busy": 15} == picks(door)
    assert [] == [engine for engine in engines if engine.scheduler.counters.num_finished == 0]


async def test_two_routers_have_the_same_homes(door: Door, open_door: OpenDoor, engines: list[SimulatedEngine]) -> None:
    """A conversation whose turns come to one router and to another in turn finds its prompt again."""
    other = await open_door()
    other.serve_with(*(engine.replica(f"r{index}") for index, engine in reversed([*enumerate(engines)])))
    conversation = Conversation(1)
    for turn in range(6):
        await conversation.ask((door, other)[turn % 2])
    assert [6] == [num for engine in engines if (num := engine.scheduler.counters.num_finished)]


@pytest.mark.parametrize("name", ["x-interaction-id", "x-session-id"])
async def test_a_session_keeps_its_replica(name: str, door: Door, engines: list[SimulatedEngine]) -> None:
    """Though its prompts have no beginning in common, and are short."""
    for number in range(6):
        body = {"model": "m", "messages": [{"role": "user", "content": f"Question {number}"}], "max_tokens": 1}
        assert 200 == (await door.post(body, headers={name: "session-1"})).status
    assert [6] == [num for engine in engines if (num := engine.scheduler.counters.num_finished)]
    assert {"affine": 6} == picks(door)


async def test_short_prompts_go_round(door: Door, engines: list[SimulatedEngine]) -> None:
    """There is nothing to reuse, so each replica takes its turn."""
    for _ in range(8):
        await door.post({"model": "m", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1})
    assert [2, 2, 2, 2] == [engine.scheduler.counters.num_finished for engine in engines]
    assert {"least_busy": 8} == picks(door)


async def test_with_one_replica_there_is_nothing_to_choose(door: Door) -> None:
    """So no beginning is looked for, which would cost as much as all the rest of a choice."""
    door.serve_with(door.replicas[0])
    await Conversation(1).ask(door)
    assert {"least_busy": 1} == picks(door)


async def test_a_hot_beginning_is_shared_within_the_bound(open_door: OpenDoor) -> None:
    """Forty requests with one beginning at once: no replica has more than 1.25 times the mean."""
    held = [await SimulatedEngine.start(prefill_base_ms=600_000) for _ in range(NUM_ENGINES)]
    door = await open_door()
    door.serve_with(*(engine.replica(f"r{index}") for index, engine in enumerate(held)))
    asked = [asyncio.ensure_future(Conversation(1).ask(door)) for _ in range(40)]
    await eventually(lambda: sum(engine.scheduler.num_running for engine in held) == 40)
    running = [engine.scheduler.num_running for engine in held]
    assert max(running) <= 12  # 1.25 times 10
    assert 1 == len(door.state.beginnings)
    assert {"affine", "spilled"} == set(picks(door))
    for one in asked:
        one.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    await eventually(lambda: not door.state.beginnings)
    for engine in held:
        await engine.stop()


async def test_a_home_that_dies_is_stood_in_for(door: Door, engines: list[SimulatedEngine]) -> None:
    """One prefill elsewhere, and the same stand-in from then on; no request is lost."""
    conversation = Conversation(1)
    await conversation.ask(door)
    home = next(index for index, engine in enumerate(engines) if engine.scheduler.counters.num_finished)
    door.serve_with(*(replica for replica in door.replicas if replica.replica_id != f"r{home}"))
    for _ in range(4):
        await conversation.ask(door)
    others = [engine.scheduler.counters.num_finished for index, engine in enumerate(engines) if index != home]
    assert [4] == [num for num in others if num]
    assert {"affine": 5} == picks(door)


async def test_a_new_replica_takes_little_at_first(door: Door, engines: list[SimulatedEngine]) -> None:
    """Beside others that are warm: one request at a time of those that it is the home of."""
    home = await home_of(door, engines, Conversation(1))
    joined = [replica for replica in door.replicas if replica.replica_id != home]
    left = [*joined]
    for one in left:
        one.known_since -= WARM_UP_S
    door.serve_with(*left)
    door.serve_with(*left, engines[int(home[1:])].replica(home))
    newest = door.replicas[-1]
    assert newest.joined_at > max(one.joined_at for one in left)
    newest.num_running = 1  # a request of somebody else
    assert home != await home_of(door, engines, Conversation(1))
    assert {"affine": 1, "spilled": 1} == picks(door)


async def home_of(door: Door, engines: list[SimulatedEngine], conversation: Conversation) -> str:
    """The replica that answers the conversation's next turn."""
    before = [engine.scheduler.counters.num_finished for engine in engines]
    await conversation.ask(door)
    after = [engine.scheduler.counters.num_finished for engine in engines]
    return next(f"r{index}" for index in range(NUM_ENGINES) if after[index] > before[index])


async def test_what_a_replica_says_of_itself_counts(door: Door, engines: list[SimulatedEngine]) -> None:
    """A home in which requests wait is passed over, by each router that has heard of it."""
    home = await home_of(door, engines, Conversation(1))
    door.state.take_over_figures({home: Figures(1, num_running=3, num_waiting=1, kv_cache_usage_ratio=None)})
    assert home != await home_of(door, engines, Conversation(1))
    assert {"affine": 1, "spilled": 1} == picks(door)


async def test_a_retry_is_counted_as_one(
    open_door: OpenDoor, engine: ScriptedEngine, other_engine: ScriptedEngine
) -> None:
    """The home fails before its first byte, and the next in the order of the beginning answers."""
    engine.otherwise = other_engine.otherwise = [Ending.RESET]
    door = await open_door()
    third = ScriptedEngine()
    await third.start()
    third.otherwise = [WHOLE]
    door.serve_with(engine.replica("r0"), other_engine.replica("r1"), third.replica("r2"))
    body = {"model": "m", "messages": [SYSTEM, {"role": "user", "content": "a"}]}
    assert 200 == (await door.post(body)).status
    await third.stop()
    reasons = [record.labels["reason"] for record in door.sink.of(PICKS)]
    assert "affine" == reasons[0]
    assert {"retry"} == set(reasons[1:])
