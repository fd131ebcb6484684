"""Real Redis servers for tests: one process each, on loopback or a unix socket, ended by its test."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import pytest
import redis

DEADLINE_S = 60.0
"""Only a broken program, or a machine without time, reaches it."""


def binary(name: str) -> str:
    """Where `name` is; the test fails without it."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(
            f"{name} is not installed: install Redis (Debian: packages redis-server, redis-sentinel, redis-tools)"
        )
    return path


def wait_for(what: str, look: Callable[[], Any]) -> Any:
    """The first true result of `look`; while Redis cannot be asked there is none."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            if found := look():
                return found
        except redis.RedisError:
            pass
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_S:g} s"
        time.sleep(0.01)


def free_port() -> int:
    """A port that was free a moment ago, below 55536: a cluster's node also takes the one 10000 above."""
    while True:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port: int = listener.getsockname()[1]
        if port < 55536:
            return port


class RedisServer:
    """One `redis-server`. It keeps nothing on disk, so that a restarted one is empty."""

    def __init__(self, *options: str, port: int | None = None, program: str = "redis-server") -> None:
        """
        Args:
            options: more of its command line.
            port: of 127.0.0.1; without one it listens on the unix socket `address` alone.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="eh-redis-", dir="/tmp"))  # a socket's path must be short
        self.port = port
        self.address = str(self.folder / "s") if port is None else f"127.0.0.1:{port}"
        self._program = program
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # pytest's own failures are no Exception
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it and wait until it listens."""
        place = ["--unixsocket", self.address] if self.port is None else ["--bind", "127.0.0.1"]
        command = [binary(self._program)]
        if self._program == "redis-server":
            command += ["--port", str(self.port or 0), *place, "--save", "", "--dir", str(self.folder)]
            command += ["--enable-debug-command", "yes"]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen([*command, *self._options], stdout=log, stderr=log, cwd=self.folder)
        log.close()
        wait_for("Redis starts", self._listens)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        family, place = (
            (socket.AF_UNIX, self.address) if self.port is None else (socket.AF_INET, ("127.0.0.1", self.port))
        )
        with socket.socket(family) as client:
            return client.connect_ex(place) == 0  # type: ignore[arg-type]

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it at once, also when it is stopped."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self, **options: Any) -> redis.Redis:
        if self.port is None:
            return redis.Redis(unix_socket_path=self.address, protocol=2, **options)
        return redis.Redis(port=self.port, protocol=2, **options)

    def ask(self, *command: Any) -> Any:
        """What it answers to one command, over a connection of its own."""
        with self.client() as client:
            return client.execute_command(*command)


def make_cluster(nodes: Sequence[RedisServer]) -> None:
    """One Redis Cluster of running nodes without replicas."""
    addresses = [node.address for node in nodes]
    _manage_cluster("create", *addresses, "--cluster-replicas", "0")
    for node in nodes:
        wait_for("the cluster agrees", lambda node=node: node.ask("CLUSTER INFO")["cluster_state"] == "ok")


def move_slots(source: RedisServer, target: RedisServer, count: int) -> None:
    """Give `count` slots of one node to another, with all that is in them."""
    ids = [str(node.ask("CLUSTER", "MYID"), "ascii") for node in (source, target)]
    places = ["--cluster-from", ids[0], "--cluster-to", ids[1], "--cluster-slots", str(count)]
    _manage_cluster("reshard", source.address, *places)


def _manage_cluster(action: str, *options: str) -> None:
    command = [binary("redis-cli"), "--cluster", action, *options, "--cluster-yes"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
