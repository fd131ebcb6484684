"""Two simulated engines on the loopback address, as every contender has them behind it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Server, free_port, running
from bench.readiness import Address, wait_until_answering
from bench.scenarios import MODEL, PREFILL_MS, Pace
from configs.engine import SimulatedSettings
from deployments.engines.contract import EngineAddress
from deployments.engines.simulated.engine import SimulatedEngine

NUM_ENGINES = 2
START_TIMEOUT_S = 30.0


def engine_settings(pace: Pace) -> SimulatedSettings:
    """Nothing but the pace takes time: prefill does not depend on the prompt, and no request queues."""
    return SimulatedSettings(
        engine="simulated",
        model=MODEL,
        prefill_base_ms=PREFILL_MS,
        prefill_tokens_per_s=1e12,
        inter_token_ms=pace.inter_token_ms,
    )


@dataclass(frozen=True, slots=True)
class Engines:
    servers: tuple[Server, ...]
    ports: tuple[int, ...]
    secret: str

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(f"http://127.0.0.1:{port}" for port in self.ports)


@contextlib.contextmanager
def running_engines(pace: Pace, secret: str, log_folder: Path) -> Iterator[Engines]:
    engine = SimulatedEngine(engine_settings(pace))
    ports = tuple(free_port() for _ in range(NUM_ENGINES))
    with contextlib.ExitStack() as stack:
        servers = []
        for number, port in enumerate(ports):
            command = engine.command(EngineAddress("127.0.0.1", port, secret))
            engine_server = running(f"engine-{number}", command.argv, command.environment, log_folder)
            servers.append(stack.enter_context(engine_server))
        wait_until_answering(Address("127.0.0.1", ports, secret), servers, START_TIMEOUT_S)
        yield Engines(tuple(servers), ports, secret)
