"""Several Ray nodes on one machine, each started by `ray start` as on a machine of its own."""

import contextlib
import http.client
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import house_processes as processes
import psutil
import yaml
from house import ENVIRONMENT, ROOT, clean_environment
from house_files import Json, free_port, router_of
from waiting import wait_for

BIN = Path(sys.executable).parent
HEAD = "127.0.0.9"
"""Not 127.0.0.1, for which Ray takes the machine's own address."""
START_DEADLINE_S = 180.0
DEPLOY_DEADLINE_S = 400.0


@dataclass(frozen=True, slots=True)
class NodeShape:
    """What a node says that it has. Its GPUs are pretended, as its CPUs are."""

    num_cpus: int
    num_gpus: int = 0
    labels: str = ""


class Machines:
    """
    A head without CPUs for replicas, and further nodes, each at a loopback address of its own.

    `close` ends every process that was ever seen below one of them, by process id.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="eh-c-"))
        self.dashboard_port = free_port()
        self.port = 0
        self._gcs_port = free_port()
        self._environment = {**clean_environment(), **ENVIRONMENT, **(environment or {})}
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self._seen: dict[int, psutil.Process] = {}

    def start_head(self) -> None:
        head = ["--head", f"--port={self._gcs_port}", f"--dashboard-port={self.dashboard_port}"]
        self._start(HEAD, NodeShape(0), [*head, "--dashboard-host=127.0.0.1", f"--temp-dir={self.folder}"])
        self._wait_up(HEAD)

    @property
    def address(self) -> str:
        return f"{HEAD}:{self._gcs_port}"

    def add(self, shapes: Mapping[str, NodeShape]) -> None:
        """
        Nodes at their hosts, 127.0.0.x. Returns once the cluster knows them.

        One after another: of those that start together on one machine, one may end at once.
        """
        for host, shape in shapes.items():
            self._start(host, shape, [f"--address={self.address}"])
            self._wait_up(host)

    def _start(self, host: str, shape: NodeShape, options: list[str]) -> None:
        command = [
            str(BIN / "ray"), "start", "--block", *options, f"--node-ip-address={host}",
            f"--num-cpus={shape.num_cpus}", f"--num-gpus={shape.num_gpus}", f"--labels={shape.labels}",
            f"--dashboard-agent-listen-port={free_port()}", "--object-store-memory=80000000",
        ]  # fmt: skip
        with (self.folder / f"{host}.txt").open("ab") as log:
            self._nodes[host] = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def _wait_up(self, host: str) -> None:
        def is_up() -> bool:
            assert self._nodes[host].poll() is None, (self.folder / f"{host}.txt").read_text()
            return host in self.hosts()

        wait_for(f"the node {host} is up", is_up, START_DEADLINE_S)

    def hosts(self) -> set[str]:
        """The addresses of the living nodes, by the head's own list."""
        with contextlib.suppress(OSError):
            nodes = self._ask("/nodes?view=summary")["data"]["summary"]
            raylets = [node["raylet"] for node in nodes]
            return {raylet["nodeManagerAddress"] for raylet in raylets if raylet.get("state") == "ALIVE"}
        return set()

    def kill(self, host: str) -> None:
        """The node's power is cut: every process of it is killed at once."""
        node = self._nodes.pop(host)
        family = processes.family(psutil.Process(node.pid))
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        node.wait()

    # deployments

    def serve(self, file: Json, *options: str) -> "subprocess.CompletedProcess[str]":
        """`enginehouse serve FILE --address ... --detach`, to its end."""
        self.port = router_of(file)["args"]["listener"]["port"]
        path = self.folder / "house.yaml"
        path.write_text(yaml.safe_dump(file, sort_keys=False), encoding="utf-8")
        command = [sys.executable, "-m", "deployments.cli", "serve", str(path), "--address", self.address, "--detach"]
        return subprocess.run(
            [*command, *options],
            cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=DEPLOY_DEADLINE_S, check=False,
        )  # fmt: skip

    def replica_hosts(self, application: str) -> list[str]:
        """The nodes of an application's running replicas, sorted."""
        details = self._ask("/api/serve/applications/")["applications"].get(application, {"deployments": {}})
        return sorted(
            replica["node_ip"]
            for deployment in details["deployments"].values()
            for replica in deployment["replicas"]
            if replica["state"] == "RUNNING"
        )

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def ready_replicas(self) -> dict[str, int]:
        """By the word of whichever router answers; nothing where none does."""
        with (
            contextlib.suppress(OSError, http.client.HTTPException),
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=60) as answer,
        ):
            ready: dict[str, int] = json.load(answer)["ready_replicas"]
            return ready
        return {}

    def engines(self, model: str) -> list[processes.EngineProcess]:
        return processes.engines(self.family(), model)

    def family(self) -> list[psutil.Process]:
        """Every process of every node. Each that was ever seen here is ended by `close`."""
        living = [node for node in self._nodes.values() if node.poll() is None]
        found = [one for node in living for one in processes.family(psutil.Process(node.pid))]
        self._seen.update((process.pid, process) for process in found)
        return found

    def _ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.dashboard_port}{path}", timeout=60) as answer:
            return json.load(answer)

    def close(self) -> None:
        self.family()
        for node in reversed(self._nodes.values()):  # the head last
            node.send_signal(signal.SIGTERM)
        for node in self._nodes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                node.wait(15)
        for process in processes.alive(self._seen.values()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for node in self._nodes.values():
            node.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def open_machines(shapes: Mapping[str, NodeShape], environment: Mapping[str, str] | None = None) -> Iterator[Machines]:
    machines = Machines(environment)
    try:
        machines.start_head()
        machines.add(shapes)
        yield machines
    finally:
        machines.close()


def has_gpus(engine: processes.EngineProcess) -> list[str]:
    """The GPUs that Ray gave to the engine."""
    return [gpu for gpu in engine.process.environ().get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]
