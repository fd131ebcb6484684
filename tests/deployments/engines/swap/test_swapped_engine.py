"""`deployments/engines/swap/`, with real simulated engines that share a GPU which has room for one."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from configs.engine import EngineSettings, LlamaCppSettings, SimulatedSettings
from deployments.engines import create_engine
from deployments.engines.errors import EngineDied, EngineStartError
from deployments.engines.runtime import EngineRuntime, OnPhase
from deployments.engines.swap.board import Choose
from deployments.engines.swap.engine import Place, Swap, SwappedEngine, Ties
from deployments.engines.swap.turns import Member

MakeSwapped = Callable[[EngineSettings], SwappedEngine]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
def gpu(tmp_path: Path) -> Path:
    return tmp_path / "gpu"


@pytest.fixture
def swaps() -> list[tuple[str, bool]]:
    """Which engines woke and fell asleep, as they said."""
    return []


@pytest.fixture
def phases() -> list[str]:
    """Which phases engines went through, as they said."""
    return []


@pytest.fixture
def is_asked_for() -> asyncio.Event:
    """Set once somebody waits for replicas that start."""
    return asyncio.Event()


@pytest.fixture
async def make_swapped(
    tmp_path: Path, swaps: list[tuple[str, bool]], phases: list[str], is_asked_for: asyncio.Event
) -> AsyncIterator[MakeSwapped]:
    made: list[SwappedEngine] = []

    def make(settings: EngineSettings) -> SwappedEngine:
        def swapped(swap: Swap) -> None:
            swaps.append((settings.model, swap.is_awake))

        def runtime(on_phase: OnPhase) -> EngineRuntime:
            return EngineRuntime(create_engine(settings), settings, "127.0.0.1", lambda *_: None, on_phase)

        place = Place(tmp_path / "group", f"{settings.model}-{len(made)}", "127.0.0.1")
        ties = Ties(phases.append, lambda: None, swapped, is_asked_for.wait)
        made.append(SwappedEngine(runtime, settings, place, ties))
        return made[-1]

    yield make
    for one in made:
        await one.stop(grace_s=0)


def simulated(model: str, gpu: Path, *, inter_token_ms: float = 0.0, **swap: object) -> SimulatedSettings:
    return SimulatedSettings.model_validate(
        {
            "engine": "simulated",
            "model": model,
            "prefill_base_ms": 0,
            "inter_token_ms": inter_token_ms,
            "gpu_file": str(gpu),
            "swap": {"group": "g", "min_awake_s": 0.01, **swap},
        }
    )


async def ask(engine: SwappedEngine, *, max_tokens: int = 2, model: str | None = None) -> tuple[int, dict[str, object]]:
    address = engine.address
    body = {"model": model or engine.engine.first_request.body["model"], "prompt": "Hi", "max_tokens": max_tokens}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {address.secret}"}) as session,
        session.post(f"http://{address.host}:{address.port}/v1/completions", json=body) as response,
    ):
        return response.status, await response.json()


def notes(gpu: Path) -> list[str]:
    """What the engines wrote when they took and gave the GPU's memory, without when."""
    return [line.partition(" ")[2] for line in gpu.read_text().splitlines()]


async def test_a_second_engine_starts_when_the_first_sleeps(make_swapped: MakeSwapped, gpu: Path) -> None:
    """Its start meets an empty GPU, on which it would else fail."""
    one, two = make_swapped(simulated("one", gpu)), make_swapped(simulated("two", gpu))
    await one.start()
    await two.start()
    assert ["one takes", "one gives", "two takes"] == notes(gpu)


async def test_alternating_requests_are_all_answered(make_swapped: MakeSwapped, gpu: Path) -> None:
    """Each waits until its model is awake; the memory is never with both, or one would fail."""
    one, two = make_swapped(simulated("one", gpu)), make_swapped(simulated("two", gpu))
    await one.start()
    await two.start()
    answers = await asyncio.gather(*(ask(engine, max_tokens=3) for _ in range(10) for engine in (one, two)))
    assert [200] * 20 == [status for status, _ in answers]
    assert [3] * 20 == [answer["usage"]["completion_tokens"] for _, answer in answers]  # type: ignore[index]
    await one.check()
    await two.check()


async def test_what_runs_is_finished_first(make_swapped: MakeSwapped, gpu: Path, eventually: Eventually) -> None:
    """The other model waits for it, and later requests for this one wait for the other."""
    one, two = make_swapped(simulated("one", gpu, inter_token_ms=20)), make_swapped(simulated("two", gpu))
    await two.start()
    await one.start()
    ended: list[str] = []

    async def asked(engine: SwappedEngine, name: str, max_tokens: int) -> None:
        assert 200 == (await ask(engine, max_tokens=max_tokens))[0]
        ended.append(name)

    first = asyncio.create_task(asked(one, "long", 50))
    await eventually(lambda: one._door.num_running == 1)
    second = asyncio.create_task(asked(two, "other", 2))
    await eventually(lambda: not one._door._is_open)
    await asyncio.gather(first, second, asked(one, "later", 2))
    assert ["long", "other", "later"] == ended


async def test_a_request_that_waits_in_vain_is_told_when_to_come_again(make_swapped: MakeSwapped, gpu: Path) -> None:
    """The other model stays awake for longer than the request waits."""
    one = make_swapped(simulated("one", gpu, max_wait_s=0.2))
    two = make_swapped(simulated("two", gpu, min_awake_s=600))
    await one.start()
    await two.start()
    status, answer = await ask(one)
    assert (503, "engine_overloaded") == (status, answer["error"]["code"])  # type: ignore[index]
    assert "was not free for it within 0.2 s" in answer["error"]["message"]  # type: ignore[index]


async def test_requests_are_answered_while_another_waits_to_start(
    make_swapped: MakeSwapped, gpu: Path, tmp_path: Path, eventually: Eventually, is_asked_for: asyncio.Event
) -> None:
    """As after a kill: nobody asks for the successor, which takes its turn only once somebody does."""
    one, two = make_swapped(simulated("one", gpu, inter_token_ms=20)), make_swapped(simulated("two", gpu))
    await one.start()
    long = asyncio.create_task(ask(one, max_tokens=10_000))  # from now on it is used, whatever the machine's pace
    await eventually(lambda: one._door.num_running == 1)
    starting = asyncio.create_task(two.start())
    board = tmp_path / "group" / "members.json"
    await eventually(lambda: '"gives_way":true' in board.read_text())
    assert [200] * 3 == [(await ask(one))[0] for _ in range(3)]
    assert (["one takes"], True) == (notes(gpu), one._door._is_open)
    is_asked_for.set()
    await eventually(lambda: not one._door._is_open)
    long.cancel()
    await starting
    assert ["one takes", "one gives", "two takes"] == notes(gpu)


async def test_a_start_that_nobody_asks_for_does_not_wait_for_ever(make_swapped: MakeSwapped, gpu: Path) -> None:
    """What is used all the time ends what it runs, and sleeps."""
    one = make_swapped(simulated("one", gpu, inter_token_ms=20))
    two = make_swapped(simulated("two", gpu, max_start_wait_s=0.1))
    await one.start()
    used = asyncio.create_task(_use(one))
    await two.start()
    used.cancel()
    assert "two takes" in notes(gpu)


async def _use(engine: SwappedEngine) -> None:
    """All the time."""
    while True:
        await asyncio.gather(*(ask(engine, max_tokens=number) for number in (5, 10, 15)))


async def test_who_waits_for_a_start_is_told_so(make_swapped: MakeSwapped, gpu: Path, eventually: Eventually) -> None:
    """Whose start it is, and that it may take minutes."""
    one = make_swapped(simulated("one", gpu, max_wait_s=0.2))
    slow = simulated("two", gpu).model_copy(update={"start_delay_s": 600})
    await one.start()
    starting = asyncio.create_task(make_swapped(slow).start())
    await eventually(lambda: "'two' starts" in one._door.waits_for)
    status, answer = await ask(one)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    message = answer["error"]["message"]  # type: ignore[index]
    assert (503, True) == (status, message.endswith(": 'two' starts for the first time, which may take minutes."))


async def test_more_than_may_wait_are_refused(make_swapped: MakeSwapped, gpu: Path, eventually: Eventually) -> None:
    """At once, while the one that waits goes on waiting."""
    one = make_swapped(simulated("one", gpu, max_waiting=1))
    two = make_swapped(simulated("two", gpu, min_awake_s=600))
    await one.start()
    await two.start()
    waiting = asyncio.create_task(ask(one))
    await eventually(lambda: one.num_waiting == 1)
    assert 503 == (await ask(one))[0]
    assert (1, 1) == (one.num_waiting, (await one.load()).num_waiting)
    waiting.cancel()


async def test_a_client_that_leaves_wants_nothing(make_swapped: MakeSwapped, gpu: Path, eventually: Eventually) -> None:
    """Its model is not woken for it."""
    one = make_swapped(simulated("one", gpu))
    two = make_swapped(simulated("two", gpu, min_awake_s=600))
    await one.start()
    await two.start()
    waiting = asyncio.create_task(ask(one))
    await eventually(lambda: one.num_waiting == 1)
    waiting.cancel()
    await eventually(lambda: one.num_waiting == 0)
    assert one._door.wanted_since is None


async def test_tokens_are_counted_while_a_model_sleeps(make_swapped: MakeSwapped, gpu: Path) -> None:
    """Routers count a prompt to fit a request's limit, and would have to send it as it is; nobody is woken for that."""
    one, two = make_swapped(simulated("one", gpu)), make_swapped(simulated("two", gpu, min_awake_s=600))
    await one.start()
    await two.start()
    url, key = f"http://{one.address.host}:{one.address.port}/tokenize", f"Bearer {one.address.secret}"
    body = {"model": "one", "prompt": "one two three"}
    async with (
        aiohttp.ClientSession(headers={"Authorization": key}, timeout=aiohttp.ClientTimeout(total=60)) as session,
        session.post(url, json=body) as response,
    ):
        answer = await response.json()
    assert (4, False) == (answer["count"], one.is_awake)


async def test_what_the_engine_refuses_is_passed_on(make_swapped: MakeSwapped, gpu: Path) -> None:
    """Status and words are its own."""
    one = make_swapped(simulated("one", gpu))
    await one.start()
    status, answer = await ask(one, model="another")
    assert (404, "NotFoundError") == (status, answer["error"]["type"])  # type: ignore[index]


async def test_nobody_comes_in_without_the_secret(make_swapped: MakeSwapped, gpu: Path) -> None:
    """But for `/health`, which says that all is well while the model sleeps, too."""
    one, two = make_swapped(simulated("one", gpu)), make_swapped(simulated("two", gpu))
    await one.start()
    await two.start()
    url = f"http://{one.address.host}:{one.address.port}"
    async with aiohttp.ClientSession() as session:
        statuses = [(await session.get(url + path)).status for path in ("/health", "/metrics", "/v1/models")]
        statuses.append((await session.post(url + "/v1/completions", json={})).status)
    assert ([200, 401, 401, 401], False) == (statuses, one.is_awake)


async def test_an_engine_that_is_lost_takes_its_stream_with_it(make_swapped: MakeSwapped, gpu: Path) -> None:
    """The router sees a connection that breaks, as it would without the door, and goes on elsewhere."""
    one = make_swapped(simulated("one", gpu, inter_token_ms=20))
    await one.start()
    address, body = one.address, {"model": "one", "prompt": "Hi", "max_tokens": 1000, "stream": True}
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {address.secret}"}) as session:
        answer = await session.post(f"http://{address.host}:{address.port}/v1/completions", json=body)
        assert (await answer.content.readline()).startswith(b"data: ")
        assert one._runtime.pid is not None
        os.kill(one._runtime.pid, signal.SIGKILL)
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
    await one._runtime.died()
    with pytest.raises(EngineDied, match="was killed by SIGKILL"):
        await one.check()


async def test_a_place_is_free_once_its_holder_is_stopped(make_swapped: MakeSwapped, gpu: Path) -> None:
    """Whatever it still had to be awake for."""
    one = make_swapped(simulated("one", gpu, min_awake_s=600))
    two = make_swapped(simulated("two", gpu))
    await one.start()
    await one.stop()
    await two.start()
    assert ["one takes", "two takes"] == notes(gpu)


async def test_a_place_is_free_once_its_killed_holder_is_gone(
    make_swapped: MakeSwapped, gpu: Path, tmp_path: Path, eventually: Eventually
) -> None:
    """A process that holds it and is killed leaves no lease behind."""
    script = (
        "import sys, time; from pathlib import Path; from deployments.engines.swap.board import Board;"
        "from deployments.engines.swap.turns import Member, State; board = Board(Path(sys.argv[1]), 'dead');"
        "board.join(); board.take_turn(Member('dead', State.AWAKE, time.monotonic() + 600), lambda all: all['dead']);"
        "print('awake', flush=True); time.sleep(600)"
    )
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path / "group"), stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    await holder.stdout.readline()
    one = make_swapped(simulated("one", gpu))
    starting = asyncio.create_task(one.start())
    board = tmp_path / "group" / "members.json"
    await eventually(lambda: "one" in board.read_text())  # it has looked, and found the place taken
    assert not await asyncio.to_thread(gpu.exists)
    holder.kill()
    await holder.wait()
    await starting
    assert ["one takes"] == notes(gpu)


async def test_one_that_is_stopped_before_its_turn_wants_none(
    make_swapped: MakeSwapped, gpu: Path, tmp_path: Path, eventually: Eventually
) -> None:
    """Serve may delete a model whose replica still waits to start."""
    one = make_swapped(simulated("one", gpu, min_awake_s=600))
    two = make_swapped(simulated("two", gpu))
    await one.start()
    starting = asyncio.create_task(two.start())
    board = tmp_path / "group" / "members.json"
    await eventually(lambda: '"two"' in board.read_text())
    await two.stop()
    with pytest.raises(EngineStartError, match="two was stopped before it had its turn"):
        await starting
    await eventually(lambda: '"two"' not in board.read_text())


async def test_one_that_is_stopped_while_it_looks_does_not_start(
    make_swapped: MakeSwapped, gpu: Path, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has left its group by the time it finds that it is its turn: another may have the GPU."""
    one = make_swapped(simulated("one", gpu))
    take_turn, is_stopped = one._board.take_turn, threading.Event()

    def look_late(mine: Member, choose: Choose) -> Member:
        is_stopped.wait(60)
        return take_turn(mine, choose)

    monkeypatch.setattr(one._board, "take_turn", look_late)
    starting = asyncio.create_task(one.start())
    await eventually(lambda: one._address is not None)
    await one.stop()
    is_stopped.set()
    with pytest.raises(EngineStartError, match="one was stopped before it had its turn"):
        await starting
    assert not await asyncio.to_thread(gpu.exists)


async def test_an_engine_that_does_not_wake_is_dead(
    make_swapped: MakeSwapped, gpu: Path, eventually: Eventually
) -> None:
    """Somebody outside of the group took the memory: Serve is to replace the replica, and its clients go elsewhere."""
    one, two = make_swapped(simulated("one", gpu)), make_swapped(simulated("two", gpu))
    await one.start()
    await two.start()
    await two.stop()
    thief = SimulatedSettings.model_validate({"engine": "simulated", "model": "thief", "gpu_file": str(gpu)})
    async with EngineRuntime(create_engine(thief), thief, "127.0.0.1", lambda *_: None, lambda _: None):
        with pytest.raises(aiohttp.ClientError):
            await ask(one)
        with pytest.raises(EngineDied, match=r"one cannot take its turn: .*out of memory"):
            await one.check()


async def test_one_that_cannot_read_its_group_is_dead(
    make_swapped: MakeSwapped, gpu: Path, tmp_path: Path, eventually: Eventually
) -> None:
    """As after an update, when others write what it does not know: it is replaced, and stopping it works."""
    one = make_swapped(simulated("one", gpu))
    await one.start()
    (tmp_path / "group" / "members.json").write_text('{"two": {"model": "two", "state": "asleep", "new": 1}}')
    await eventually(lambda: one._task is not None and one._task.done())
    with pytest.raises(EngineDied, match="one cannot take its turn: TypeError"):
        await one.check()
    with pytest.raises(aiohttp.ClientError):
        await ask(one)
    await one.stop()
    assert ["one takes"] == notes(gpu)


async def test_a_failed_start_leaves_its_place(make_swapped: MakeSwapped, gpu: Path) -> None:
    """The next one starts."""
    broken = make_swapped(simulated("broken", gpu / "no such folder" / "gpu"))
    with pytest.raises(EngineStartError):
        await broken.start()
    await make_swapped(simulated("one", gpu)).start()
    assert ["one takes"] == notes(gpu)


async def test_llama_cpp_sleeps_by_ending(
    make_swapped: MakeSwapped, gpu: Path, swaps: list[tuple[str, bool]], phases: list[str]
) -> None:
    """
    Its process is gone while the other has its turn, and another one answers afterwards. Its phases are not told again:
    that waits for Ray's head.
    """
    small = {"max_model_len": 128, "max_num_seqs": 1, "swap": {"group": "g", "min_awake_s": 0.01}}
    llama = make_swapped(LlamaCppSettings.model_validate({"engine": "llama_cpp", "model": "llama", **small}))
    other = make_swapped(simulated("other", gpu))
    await llama.start()
    first = llama._runtime.pid
    await other.start()
    assert llama._runtime.pid is None or not llama._runtime._child.is_running
    await llama.check()
    of_starts = list(phases)
    assert 200 == (await ask(llama))[0]
    assert of_starts == phases
    assert first != llama._runtime.pid
    assert [("llama", True), ("llama", False), ("other", True), ("other", False), ("llama", True)] == swaps
