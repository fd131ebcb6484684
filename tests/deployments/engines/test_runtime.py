"""`deployments/engines/runtime.py`, with real engines and engines that misbehave."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import aiohttp
import pytest

from configs.engine import EngineSettings, SimulatedSettings
from deployments.engines import create_engine
from deployments.engines import runtime as runtime_module
from deployments.engines.contract import ChildCommand, EngineAddress, Profile
from deployments.engines.errors import EngineDied, EngineStartError
from deployments.engines.runtime import EngineRuntime, Phase
from deployments.engines.simulated.engine import SimulatedEngine

StartEngine = Callable[..., Awaitable[EngineRuntime]]
Connect = Callable[[EngineRuntime], Awaitable[aiohttp.ClientSession]]
Eventually = Callable[[Callable[[], bool]], Awaitable[None]]
IsAlive = Callable[[int], bool]
ReachesLoad = Callable[[EngineRuntime, int, int], Awaitable[None]]


class ScriptEngine(SimulatedEngine):
    """A simulated engine whose first processes are scripts, each prepared by a callback that is told the address."""

    def __init__(self, settings: SimulatedSettings, *scripts: str, prepare: Callable[[EngineAddress], None]) -> None:
        super().__init__(settings)
        self._scripts = list(scripts)
        self._prepare = prepare

    @property
    def profile(self) -> Profile:
        return "vllm"

    def command(self, address: EngineAddress) -> ChildCommand:
        if not self._scripts:
            return super().command(address)
        self._prepare(address)
        script = self._scripts.pop(0)
        if script == "the engine itself":
            return super().command(address)
        return ChildCommand((sys.executable, "-c", script), {})


def nothing(_: EngineAddress) -> None:
    pass


class HealthyStranger(BaseHTTPRequestHandler):
    """A server that says it is healthy but knows no secret of ours."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        self.send_response(401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def occupy() -> Iterator[Callable[[EngineAddress], None]]:
    """Listens on an address as another process might."""
    listeners: list[socket.socket] = []

    def listen(address: EngineAddress) -> None:
        listeners.append(socket.create_server((address.host, address.port)))

    yield listen
    for listener in listeners:
        listener.close()


@pytest.fixture
def occupy_healthily() -> Iterator[Callable[[EngineAddress], None]]:
    """Serves HTTP on an address as another engine might."""
    servers: list[ThreadingHTTPServer] = []

    def serve(address: EngineAddress) -> None:
        server = ThreadingHTTPServer((address.host, address.port), HealthyStranger)
        servers.append(server)
        threading.Thread(target=server.serve_forever).start()

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


async def chat(session: aiohttp.ClientSession, **simulated: float) -> int:
    body = {"model": "sim", "messages": [{"role": "user", "content": "hello"}], "simulated": simulated}
    async with session.post("/v1/chat/completions", json=body) as response:
        await response.read()
        return response.status


async def test_phases_come_in_order(
    start_engine: StartEngine, simulated_settings: SimulatedSettings, phases: list[Phase]
) -> None:
    """A start goes through its four phases once each."""
    await start_engine(simulated_settings)

    assert ["starting", "loading", "warming", "ready"] == phases


async def test_a_failed_start_tells_the_last_lines(
    start_engine: StartEngine, simulated_settings: SimulatedSettings
) -> None:
    """A process that ends before it is ready fails the start at once, with its code and its own words."""
    script = "import sys; print('out of memory', file=sys.stderr); sys.exit(3)"
    engine = ScriptEngine(simulated_settings, script, prepare=nothing)

    with pytest.raises(EngineStartError) as failure:
        await start_engine(simulated_settings, engine=engine)
    assert (
        "sim did not start: it exited with code 3: out of memory; its last lines:\n  out of memory"
        == failure.value.message
    )


async def test_a_missing_interpreter_is_named(start_engine: StartEngine, simulated_settings: SimulatedSettings) -> None:
    """An interpreter that is not there fails the start with its path."""
    settings = simulated_settings.model_copy(update={"interpreter": "/nowhere/python"})

    with pytest.raises(EngineStartError, match="cannot execute /nowhere/python"):
        await start_engine(settings)


async def test_a_start_that_takes_too_long_fails_and_leaves_nothing(
    start_engine: StartEngine, simulated_settings: SimulatedSettings, output: list[str], is_alive: IsAlive
) -> None:
    """After `start_timeout_s` the start fails with the last lines, and the process is gone."""
    settings = simulated_settings.model_copy(update={"start_timeout_s": 1.0})
    script = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    engine = ScriptEngine(settings, script, prepare=nothing)

    with pytest.raises(EngineStartError, match=r"sim was not ready after 1 s; its last lines:\n  \d+"):
        await start_engine(settings, engine=engine)
    assert not is_alive(int(output[0]))


async def test_a_taken_port_is_replaced(
    start_engine: StartEngine,
    simulated_settings: SimulatedSettings,
    phases: list[Phase],
    occupy: Callable[[EngineAddress], None],
) -> None:
    """When another process takes the port between its choice and its use, the engine starts on another one."""
    await start_engine(simulated_settings, engine=ScriptEngine(simulated_settings, "the engine itself", prepare=occupy))

    assert ["starting", "loading", "starting", "loading", "warming", "ready"] == phases


async def test_another_server_on_the_port_is_not_taken_for_the_engine(
    start_engine: StartEngine,
    simulated_settings: SimulatedSettings,
    phases: list[Phase],
    occupy_healthily: Callable[[EngineAddress], None],
) -> None:
    """A stranger's healthy answer does not make a port ours: it does not know our secret."""
    script = "import time; time.sleep(600)"
    await start_engine(simulated_settings, engine=ScriptEngine(simulated_settings, script, prepare=occupy_healthily))

    assert ["starting", "loading", "warming", "starting", "loading", "warming", "ready"] == phases


async def test_ports_that_are_always_taken_fail_the_start(
    start_engine: StartEngine, simulated_settings: SimulatedSettings, occupy: Callable[[EngineAddress], None]
) -> None:
    """The search for a port ends, and says so."""
    engine = ScriptEngine(simulated_settings, *["the engine itself"] * 5, prepare=occupy)

    with pytest.raises(EngineStartError, match="5 ports in a row were taken"):
        await start_engine(simulated_settings, engine=engine)


async def test_a_death_is_told_with_its_signal(
    start_engine: StartEngine, simulated_settings: SimulatedSettings
) -> None:
    """`died` returns when the process is killed, and says by what."""
    runtime = await start_engine(simulated_settings)
    os.kill(runtime.pid or 0, signal.SIGKILL)
    async with asyncio.timeout(60):
        message = await runtime.died()

    assert message.startswith("sim was killed by SIGKILL; its last lines:\n  the simulated engine serves sim at")


async def test_a_dead_engine_fails_check_and_load(
    start_engine: StartEngine, simulated_settings: SimulatedSettings
) -> None:
    """Once the process is gone, every question raises `EngineDied`."""
    runtime = await start_engine(simulated_settings)
    os.kill(runtime.pid or 0, signal.SIGKILL)
    await runtime.died()

    with pytest.raises(EngineDied, match="SIGKILL"):
        await runtime.check()
    with pytest.raises(EngineDied, match="SIGKILL"):
        await runtime.load()


async def test_a_silent_engine_fails_the_third_check(
    start_engine: StartEngine, simulated_settings: SimulatedSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that lives but does not answer counts as dead after three checks in a row, not after one."""
    monkeypatch.setattr(runtime_module, "QUESTION_TIMEOUT_S", 0.7)
    runtime = await start_engine(simulated_settings)
    await runtime.check()
    os.kill(runtime.pid or 0, signal.SIGSTOP)
    await runtime.check()
    await runtime.check()

    with pytest.raises(EngineDied, match="did not answer 3 health checks"):
        await runtime.check()


async def test_an_answer_forgives_earlier_silence(
    start_engine: StartEngine, simulated_settings: SimulatedSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Health checks that fail must be in a row: one answer starts the count anew."""
    monkeypatch.setattr(runtime_module, "QUESTION_TIMEOUT_S", 0.7)
    runtime = await start_engine(simulated_settings)
    for number in (signal.SIGSTOP, signal.SIGSTOP, signal.SIGCONT, signal.SIGSTOP):
        os.kill(runtime.pid or 0, number)
        await runtime.check()
    await runtime.check()

    assert runtime.pid is not None


async def test_load_counts_what_runs(
    start_engine: StartEngine, simulated_settings: SimulatedSettings, connect: Connect, reaches_load: ReachesLoad
) -> None:
    """The load has the engine's own running and waiting requests."""
    runtime = await start_engine(simulated_settings.model_copy(update={"max_num_seqs": 2}))
    session = await connect(runtime)
    requests = [asyncio.create_task(chat(session, hang_after_tokens=1)) for _ in range(5)]
    await reaches_load(runtime, 2, 3)
    for request in requests:
        request.cancel()
    await asyncio.gather(*requests, return_exceptions=True)

    await reaches_load(runtime, 0, 0)


async def test_drain_waits_for_a_running_request(
    start_engine: StartEngine, simulated_settings: SimulatedSettings, connect: Connect, reaches_load: ReachesLoad
) -> None:
    """A request that runs when draining begins is finished when it ends."""
    runtime = await start_engine(simulated_settings)
    request = asyncio.create_task(chat(await connect(runtime), prefill_base_ms=3000))
    await reaches_load(runtime, 1, 0)
    is_drained = await runtime.drain(timeout_s=60)

    assert (True, 200) == (is_drained, await asyncio.wait_for(request, 60))


async def test_drain_gives_up(
    start_engine: StartEngine, simulated_settings: SimulatedSettings, connect: Connect, reaches_load: ReachesLoad
) -> None:
    """A request that does not end is not waited for longer than asked."""
    runtime = await start_engine(simulated_settings)
    request = asyncio.create_task(chat(await connect(runtime), hang_after_tokens=0))
    await reaches_load(runtime, 1, 0)
    is_drained = await runtime.drain(timeout_s=0.5)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)

    assert not is_drained


async def test_drain_of_a_dead_engine_is_no_drain(
    start_engine: StartEngine, simulated_settings: SimulatedSettings
) -> None:
    """What ran in an engine that died was lost, so it was not drained."""
    runtime = await start_engine(simulated_settings)
    os.kill(runtime.pid or 0, signal.SIGKILL)

    assert not await runtime.drain(timeout_s=60)


async def test_stop_is_no_death(start_engine: StartEngine, simulated_settings: SimulatedSettings) -> None:
    """`died` tells of unexpected ends only: it does not return after `stop`."""
    runtime = await start_engine(simulated_settings)
    death = asyncio.create_task(runtime.died())
    await runtime.stop()
    finished, _ = await asyncio.wait([death], timeout=0.2)
    death.cancel()

    assert set() == finished


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_secret_is_on_no_command_line(
    start_engine: StartEngine, simulated_settings: SimulatedSettings
) -> None:
    """No process of this machine shows the secret in its arguments."""
    runtime = await start_engine(simulated_settings)
    command_lines: list[bytes] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):  # noqa: ASYNC240  not a disk
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            command_lines.append(path.read_bytes())

    assert not any(runtime.address.secret.encode() in line for line in command_lines)


async def test_each_engine_has_its_own_secret(start_engine: StartEngine, simulated_settings: SimulatedSettings) -> None:
    """No two engines share a secret."""
    first, second = [await start_engine(simulated_settings) for _ in range(2)]

    assert first.address.secret != second.address.secret


def test_an_address_does_not_show_its_secret() -> None:
    """An address can be logged."""
    assert "s3cr3t" not in repr(EngineAddress("127.0.0.1", 8000, "s3cr3t"))


def test_a_command_does_not_show_its_environment() -> None:
    """A command can be logged."""
    assert "s3cr3t" not in repr(ChildCommand(("engine",), {"KEY": "s3cr3t"}))


def test_settings_of_no_engine_are_refused() -> None:
    """Settings that no engine here takes are an error that names them."""
    with pytest.raises(TypeError, match="no engine takes EngineSettings"):
        create_engine(EngineSettings(model="m"))
