"""Enginehouse as a contender, behind each of its doors. Metrics and API keys are always on."""

import contextlib
import json
import secrets
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from bench.contenders import START_TIMEOUT_S, Contender, Started, trees
from bench.engines import NUM_ENGINES, engine_settings, running_engines
from bench.measure import Group
from bench.process_tree import ProcessTable, command_line, read_processes, tree
from bench.processes import Server, ServerFailed, free_port, running
from bench.readiness import Address, wait_until_answering
from bench.scenarios import MODEL, Pace

KEYS_ENV = "ENGINEHOUSE_BENCH_KEY"
REPOSITORY = Path(__file__).parents[1]

ROUTER_TITLE = "ray::ServeReplica:router:Router"
PROXY_TITLE = "ray::ProxyActor"
HAPROXY_TITLE = "haproxy"
ENGINE_TITLE = "simulated_server.py"


@dataclass(frozen=True, slots=True)
class Door:
    """`enginehouse serve` on a Ray cluster of its own; its engines are replicas there."""

    name: str
    title: str
    on_path: tuple[str, ...]
    """What the command lines of the processes begin with that a request passes through."""
    is_serves: bool
    """Whether clients come through Serve's HTTP port, not through the router's own listener."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What is added to the environment of all Ray processes."""
    port_variables: tuple[str, ...] = ()
    """Names of variables that are set to free ports, in place of fixed ones that another program may have."""

    def install(self, console: Console) -> None:
        """The interpreter that runs the bench has everything."""

    @contextlib.contextmanager
    def start(self, pace: Pace, log_folder: Path) -> Iterator[Started]:
        key, own_port, serve_port = f"eh-{secrets.token_hex(16)}", free_port(), free_port()
        config_file = log_folder / "enginehouse.yaml"
        config_file.write_text(json.dumps(self._config(pace, own_port, serve_port)))  # JSON is YAML
        variables = {
            KEYS_ENV: key,
            "PYTHONPATH": str(REPOSITORY),
            "RAY_AUTH_MODE": "disabled",  # else Ray writes a token into the home folder
            **self.variables,
            **{name: str(free_port()) for name in self.port_variables},
        }
        with tempfile.TemporaryDirectory(prefix="b-") as ray_folder:  # short: Ray's sockets lie deep below it
            command = [
                *(sys.executable, "-m", "deployments.cli", "serve", str(config_file)),
                *("--dashboard-port", str(free_port()), "--temp-dir", ray_folder),
            ]
            with running(self.name, command, variables, log_folder) as server:
                address = Address("127.0.0.1", (serve_port if self.is_serves else own_port,), key)
                wait_until_answering(address, [server], START_TIMEOUT_S)
                self._check(server)
                groups = {"request path": _titled(server, self.on_path), "all of Ray": _all_but_engines(server)}
                yield Started(address, groups)

    def _check(self, server: Server) -> None:
        table = read_processes()
        for title in self.on_path:
            if not _titled(server, (title,))(table):  # it would be counted as 0 µs
                raise ServerFailed(f"{self.title}: none of its processes is called {title}")

    def _config(self, pace: Pace, own_port: int, serve_port: int) -> dict[str, object]:
        door = {"proxy_location": "EveryNode", "http_options": {"host": "127.0.0.1", "port": serve_port}}
        router = {
            "name": "router",
            "import_path": "deployments.app:router",
            "route_prefix": "/",
            "args": {"listener": {"host": "127.0.0.1", "port": own_port}, "api_keys": {"env": KEYS_ENV}},
            "deployments": [
                {
                    "name": "Router",
                    "num_replicas": 1,
                    "max_ongoing_requests": 1000,
                    "ray_actor_options": {"num_cpus": 0.5},
                    "user_config": {"models": {MODEL: {"application": MODEL}}},
                }
            ],
        }
        model = {
            "name": MODEL,
            "import_path": "deployments.app:model",
            "route_prefix": None,
            "args": {**engine_settings(pace).model_dump(exclude_unset=True), "drain_timeout_s": 1},
            "deployments": [{"name": "Engine", "num_replicas": NUM_ENGINES, "ray_actor_options": {"num_cpus": 0.25}}],
        }
        return {**(door if self.is_serves else {"proxy_location": "Disabled"}), "applications": [router, model]}


def _program(pid: int) -> str:
    """The command line from its program's name on: HAProxy is started by its whole path."""
    folder, _, rest = command_line(pid).partition(" ")
    return f"{folder.rpartition('/')[2]} {rest}"


def _titled(server: Server, titles: tuple[str, ...]) -> Group:
    def group(table: ProcessTable) -> set[int]:
        return {pid for pid in tree(table, [server.pid]) if _program(pid).startswith(titles)}

    return group


def _all_but_engines(server: Server) -> Group:
    def group(table: ProcessTable) -> set[int]:
        everything = tree(table, [server.pid])
        engines = [pid for pid in everything if ENGINE_TITLE in command_line(pid)]
        return tree(table, [server.pid], without=engines)

    return group


@dataclass(frozen=True, slots=True)
class BareRouter:
    """The own listener in a process without Ray, and so without metrics: what the router's code alone costs."""

    name: str = "router-alone"
    title: str = "Enginehouse's router without Ray or metrics"

    def install(self, console: Console) -> None:
        """The interpreter that runs the bench has everything."""

    @contextlib.contextmanager
    def start(self, pace: Pace, log_folder: Path) -> Iterator[Started]:
        key, port = f"eh-{secrets.token_hex(16)}", free_port()
        with running_engines(pace, secrets.token_hex(16), log_folder) as engines:
            variables = {KEYS_ENV: key, "BENCH_ENGINE_KEY": engines.secret}
            ports = ",".join(map(str, engines.ports))
            command = [sys.executable, "-m", "bench.bare_router", str(port), ports]
            with running(self.name, command, variables, log_folder) as server:
                address = Address("127.0.0.1", (port,), key)
                wait_until_answering(address, [server], START_TIMEOUT_S)
                yield Started(address, {"router": trees(server)})


DOORS: tuple[Contender, ...] = (
    Door("own-listener", "Enginehouse, own listener", (ROUTER_TITLE,), is_serves=False),
    BareRouter(),
    Door("serve-proxy", "Enginehouse, Serve's Python proxy", (ROUTER_TITLE, PROXY_TITLE), is_serves=True),
    Door(
        "serve-haproxy",
        "Enginehouse, Serve's HAProxy mode",
        (ROUTER_TITLE, HAPROXY_TITLE),
        is_serves=True,
        variables={
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",  # else stopping takes half a minute
        },
        port_variables=(
            "RAY_SERVE_HAPROXY_METRICS_PORT",
            "RAY_SERVE_HAPROXY_STATS_PORT",
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT",
        ),
    ),
)
