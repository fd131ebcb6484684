"""A Ray cluster of one node that lives as long as one command: nothing of it is left behind."""

import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.serve._private.constants import SERVE_NAMESPACE

from deployments.ray_watch import ending_with_ray
from deployments.serve_internals import in_sessions_of_their_own, show_own_token

OBJECT_STORE_BYTES = 128 * 1024 * 1024
"""Ray's shared memory. Requests and tokens do not travel through it; Ray's default is 30 % of the machine."""

ENGINE_HOST_ENV = "ENGINEHOUSE_ENGINE_HOST"
"""Environment variable with the address that engines listen on. Default: that of their node."""

CONNECT_TIMEOUT_S = 10.0
"""How long an existing cluster has to accept a connection, in seconds."""

REMOVAL_S = 10.0
"""How long the removal of a cluster's folder is tried, in seconds."""

DASHBOARD_PORT = 8265
"""Ray's default."""

MAX_TEMP_DIR_CHARACTERS = 40
"""Ray's sockets lie some 60 characters below its folder, and Linux allows a socket's path 107."""


_ADVICE = ". Where it asks for a token, set RAY_AUTH_MODE=token and have its token in ~/.ray/auth_token"


@dataclass(slots=True, frozen=True)
class Cluster:
    """
    A cluster that this process is connected to.

    `address` is where other commands find it. `logs` is the folder of its logs on this machine; None on a cluster that
    was there before.
    """

    address: str

    dashboard_url: str | None
    logs: Path | None


class ClusterError(Exception):
    """Ray did not start, or cannot be reached."""


@contextmanager
def existing_cluster(address: str) -> Iterator[Cluster]:
    """
    Connect to the Ray cluster at `address`, and leave it running at the end.

    Raises:
        ClusterError: there is none, or it asks for a token.
    """
    _refuse_unreachable(address)
    _quiet_ray()
    if is_of_this_machine(address):
        show_own_token()
    context = _init(f"cannot join the Ray cluster at {address}", address=address)
    try:
        yield Cluster(_gcs_address(), _dashboard(context), None)
    finally:
        ray.shutdown()


@contextmanager
def own_cluster(dashboard_port: int | None, temp_dir: Path | None) -> Iterator[Cluster]:
    """
    Start Ray on this machine, and end it with all its processes. Engines listen on loopback; Ray's own processes
    listen on the node's address, whatever they are told.

    Its folder is removed at the end; after an exception it is kept, for its logs, and when Ray dies, with which this
    process ends. `temp_dir` is where that folder is made, the machine's folder for temporary files by default.
    `dashboard_port` is Ray's own, 8265, or a free one where that is taken, unless it is given.

    Raises:
        ClusterError: Ray did not start.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports its use to its makers otherwise
    os.environ[ENGINE_HOST_ENV] = "127.0.0.1"  # routers and engines are on one machine; replicas inherit this
    if temp_dir is not None:
        temp_dir.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="eh-", dir=temp_dir))
    if len(str(folder)) > MAX_TEMP_DIR_CHARACTERS:
        folder.rmdir()
        raise ClusterError(
            f"the folder {folder.parent} has too long a name for Ray's sockets: choose another --temp-dir"
        )
    try:
        with in_sessions_of_their_own():
            context = _init(
                "Ray did not start",
                address="local",
                _temp_dir=str(folder),
                include_dashboard=True,
                dashboard_host="127.0.0.1",
                dashboard_port=dashboard_port or _free_dashboard_port(),
                object_store_memory=OBJECT_STORE_BYTES,
            )
        logs = folder / "session_latest" / "logs"
        with ending_with_ray(logs):
            yield Cluster(_gcs_address(), _dashboard(context), logs)
    except BaseException as error:
        ray.shutdown(wait_for_processes=True)
        if isinstance(error, ClusterError) or not isinstance(error, Exception):  # no cluster, or only stopped
            _remove(folder)
        raise
    ray.shutdown(wait_for_processes=True)
    _remove(folder)


def _remove(folder: Path) -> None:
    """Ray's agents outlive its shutdown by moments, and write into the folder meanwhile."""
    deadline = time.monotonic() + REMOVAL_S
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.1)


def _init(failure: str, /, **options: Any) -> object:  # noqa: ANN401 - Ray's own options
    try:
        return ray.init(namespace=SERVE_NAMESPACE, log_to_driver=False, logging_level=logging.WARNING, **options)
    except Exception as error:  # Ray raises bare ones, for a start that took too long
        ray.shutdown()
        advice = _ADVICE if isinstance(error, ConnectionError) and ":" in str(options["address"]) else ""
        raise ClusterError(f"{failure}: {error}{advice}") from error


def _free_dashboard_port() -> int:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", DASHBOARD_PORT))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _refuse_unreachable(address: str) -> None:
    """Ray itself tries for more than ten minutes, without a word."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "/" in host:
        return  # `auto`, or a form that Ray knows and we do not
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise ClusterError(f"no Ray cluster answers at {address}: {error.strerror or error}") from error


def _quiet_ray() -> None:
    """Keep Ray's words from among a command's own."""
    logging.getLogger("ray.serve").setLevel(logging.WARNING)  # it tells how it asks, among the answers
    # It advises at each question to do without the cluster's token, where one is used.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)


def is_of_this_machine(address: str) -> bool:
    """
    Whether HOST of `HOST:PORT` is one of this machine's addresses.

    Ray shows the token in `~/.ray/auth_token` to the cluster that it finds by itself, `auto`, and to no address that
    it is given, which may be anybody's. Where that is this machine, it is the same cluster.
    """
    host = address.rpartition(":")[0].strip("[]")
    if not host or "/" in host:
        return False
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def _gcs_address() -> str:
    return str(ray.get_runtime_context().gcs_address)


def _dashboard(context: object) -> str | None:
    url = getattr(context, "dashboard_url", None)
    return f"http://{url}" if url else None
