"""`deployments/engines/swap/sleeping.py`, against servers that sleep as vLLM and Ollama do, or do not."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from deployments.engines.contract import EngineAddress
from deployments.engines.errors import EngineUnresponsive
from deployments.engines.swap.sleeping import put_to_sleep, wake
from deployments.engines.vllm.sleep import vllm_sleep_mode


@dataclass
class SleepingServer:
    """Has vLLM's routes, and notes what it is asked with its secret."""

    port: int = 0
    asked: list[tuple[str, object]] = field(default_factory=list)
    status: int = 200
    num_refusals: int = 0
    """Requests that are refused before others are answered with `status`."""
    is_asleep: bool = False
    state: dict[str, object] | None = None

    @property
    def address(self) -> EngineAddress:
        return EngineAddress("127.0.0.1", self.port, "s3cret")

    async def take(self, request: web.Request) -> web.Response:
        assert "Bearer s3cret" == request.headers["Authorization"]
        if request.method == "GET":
            return web.json_response({"is_sleeping": self.is_asleep} if self.state is None else self.state)
        self.asked.append((request.path_qs, await request.json() if request.can_read_body else None))
        if self.num_refusals:
            self.num_refusals -= 1
            return web.Response(status=500, text="requests run")
        if self.status == 200:
            self.is_asleep = request.path == "/sleep" or request.query_string == "tags=weights"
        return web.Response(status=self.status, text="" if self.status == 200 else "CUDA out of memory")


@pytest.fixture
async def server() -> AsyncIterator[SleepingServer]:
    made = SleepingServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


async def test_vllm_keeps_its_weights(server: SleepingServer) -> None:
    """At level 1: one request either way."""
    mode = vllm_sleep_mode(server.address, level=1)
    await put_to_sleep(mode, timeout_s=60)
    await wake(mode, timeout_s=60)
    assert [("/sleep?level=1", None), ("/wake_up", None)] == server.asked


async def test_vllm_reads_its_weights_again(server: SleepingServer) -> None:
    """At level 2: into memory that is there again, before the KV cache takes its own."""
    mode = vllm_sleep_mode(server.address, level=2)
    await put_to_sleep(mode, timeout_s=60)
    await wake(mode, timeout_s=60)
    assert [
        ("/sleep?level=2", None),
        ("/wake_up?tags=weights", None),
        ("/collective_rpc", {"method": "reload_weights"}),
        ("/wake_up?tags=kv_cache", None),
    ] == server.asked


@pytest.mark.parametrize(("change", "aim"), [(put_to_sleep, "sleep"), (wake, "wake")])
async def test_a_refusal_is_told(server: SleepingServer, change: Callable[..., Awaitable[None]], aim: str) -> None:
    """With the server's words."""
    server.status = 500
    with pytest.raises(EngineUnresponsive, match=rf"did not {aim}: /\w+.*: 500 CUDA out of memory"):
        await change(vllm_sleep_mode(server.address, level=1), timeout_s=60)


async def test_one_that_has_yet_to_hear_that_a_client_left_is_asked_again(server: SleepingServer) -> None:
    """Its refusal would else have the engine replaced, for a client who closed a connection at the wrong moment."""
    server.num_refusals = 2
    await put_to_sleep(vllm_sleep_mode(server.address, level=1), timeout_s=60)
    assert [("/sleep?level=1", None)] * 3 == server.asked


async def test_one_that_only_says_that_it_sleeps_is_not_asleep(server: SleepingServer) -> None:
    """Its memory is not free before it says so itself."""
    server.state = {"is_sleeping": False}
    with pytest.raises(EngineUnresponsive, match=r"did not sleep within 0\.3 s"):
        await put_to_sleep(vllm_sleep_mode(server.address, level=1), timeout_s=0.3)


async def test_a_server_without_the_route_is_told(server: SleepingServer) -> None:
    """What it answers is not taken for a state."""
    server.state = {"detail": "Not Found"}
    with pytest.raises(EngineUnresponsive, match="/is_sleeping does not say whether it sleeps"):
        await put_to_sleep(vllm_sleep_mode(server.address, level=1), timeout_s=60)


async def test_a_server_that_is_gone_is_told(server: SleepingServer) -> None:
    """Nobody listens any more."""
    gone = EngineAddress("127.0.0.1", 1, "s3cret")
    with pytest.raises(EngineUnresponsive, match="did not wake within 2 s: ClientConnectorError"):
        await wake(vllm_sleep_mode(gone, level=1), timeout_s=2)
