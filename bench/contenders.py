"""The servers that are compared: how each is started, where it is reached, and which processes are its own."""

import contextlib
import json
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rich.console import Console

from bench.engines import running_engines
from bench.environments import environment
from bench.measure import Group
from bench.process_tree import tree
from bench.processes import Server, free_port, running
from bench.readiness import Address, wait_until_answering
from bench.scenarios import MODEL, Pace

ROUTER = "router"
"""Group of processes: everything that a peer runs between client and engines."""

START_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Started:
    address: Address
    groups: dict[str, Group]
    """Which processes are counted together."""


class Contender(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    def install(self, console: Console) -> None:
        """Make its environment, if that is not done yet."""

    def start(self, pace: Pace, log_folder: Path) -> AbstractContextManager[Started]:
        """Engines and contender as long as the block runs; it answers when the block begins."""


def trees(*servers: Server) -> Group:
    return lambda table: tree(table, [server.pid for server in servers])


@dataclass(frozen=True, slots=True)
class Direct:
    """No router: what the client sees of the engines alone, and what they use themselves."""

    name: str = "direct"
    title: str = "simulated engine, direct"

    def install(self, console: Console) -> None:
        """Nothing to install."""

    @contextlib.contextmanager
    def start(self, pace: Pace, log_folder: Path) -> Iterator[Started]:
        with running_engines(pace, secrets.token_hex(16), log_folder) as engines:
            address = Address("127.0.0.1", engines.ports, engines.secret)
            yield Started(address, {"engines": trees(*engines.servers)})


@dataclass(frozen=True, slots=True)
class RustRouter:
    """vllm-router and sglang-router, which has the same ancestor and so the same options.

    Both hand the client's Authorization header on, so that the client's key is the engines'. Round robin is the
    cheapest policy of both: their default keeps a tree of all prompts.
    """

    name: str
    title: str
    program: tuple[str, ...]
    """Below the environment's `bin`, and the arguments that come first."""

    def install(self, console: Console) -> None:
        environment(self.name, console)

    @contextlib.contextmanager
    def start(self, pace: Pace, log_folder: Path) -> Iterator[Started]:
        program = str(environment(self.name, Console(quiet=True)) / "bin" / self.program[0])
        port = free_port()
        with running_engines(pace, secrets.token_hex(16), log_folder) as engines:
            command = [
                *(program, *self.program[1:], "--host", "127.0.0.1", "--port", str(port)),
                *("--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())),
                *("--policy", "round_robin", "--log-level", "error"),
                *("--worker-urls", *engines.urls),
            ]
            with running(self.name, command, {}, log_folder) as server:
                address = Address("127.0.0.1", (port,), engines.secret)
                wait_until_answering(address, [server], START_TIMEOUT_S)
                yield Started(address, {ROUTER: trees(server)})


@dataclass(frozen=True, slots=True)
class LiteLlm:
    """The proxy as `pip install litellm[proxy]` leaves it, with a master key and without a database."""

    name: str = "litellm"
    title: str = "LiteLLM 1.106.2 proxy"
    redis: tuple[str, int] | None = None
    """Host and port of a Redis in which it keeps answers."""

    def install(self, console: Console) -> None:
        environment(self.name, console)

    @contextlib.contextmanager
    def start(self, pace: Pace, log_folder: Path) -> Iterator[Started]:
        program = str(environment(self.name, Console(quiet=True)) / "bin" / "litellm")
        port, key = free_port(), f"sk-{secrets.token_hex(16)}"
        with running_engines(pace, secrets.token_hex(16), log_folder) as engines:
            config_file = log_folder / "litellm.yaml"
            config_file.write_text(json.dumps(self._config(engines.urls)))  # JSON is YAML
            command = [program, "--config", str(config_file), "--host", "127.0.0.1", "--port", str(port)]
            variables = {
                "BENCH_ENGINE_KEY": engines.secret,
                "LITELLM_MASTER_KEY": key,
                "LITELLM_LOG": "ERROR",
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks the Internet for prices when it starts
                "DISABLE_ADMIN_UI": "True",
            }
            with running(self.name, [*command, "--telemetry", "False"], variables, log_folder) as server:
                address = Address("127.0.0.1", (port,), key)
                wait_until_answering(address, [server], START_TIMEOUT_S)
                yield Started(address, {ROUTER: trees(server)})

    def _config(self, engine_urls: tuple[str, ...]) -> dict[str, object]:
        parameters = {"model": f"hosted_vllm/{MODEL}", "api_key": "os.environ/BENCH_ENGINE_KEY"}
        return {
            "model_list": [
                {"model_name": MODEL, "litellm_params": {**parameters, "api_base": f"{url}/v1"}} for url in engine_urls
            ],
            "general_settings": {"master_key": "os.environ/LITELLM_MASTER_KEY"},
            **(self._cache(*self.redis) if self.redis else {}),
        }

    @staticmethod
    def _cache(host: str, port: int) -> dict[str, object]:
        return {"litellm_settings": {"cache": True, "cache_params": {"type": "redis", "host": host, "port": port}}}


PEERS: tuple[Contender, ...] = (
    RustRouter("vllm-router", "vllm-router 0.1.17 (Rust)", ("vllm-router",)),
    RustRouter("sglang-router", "sglang-router 0.3.2 (Rust)", ("sglang-router", "launch")),
    LiteLlm(),
)
