"""
Every use of a part of Ray that its makers do not call public. Ray is pinned to one release for this file's sake.

Source: ray 2.60.0, `serve/_private/long_poll.py`, `serve/_private/common.py`, `experimental/internal_kv.py`.
"""

import asyncio
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import ray
import ray.serve.exceptions
from ray import serve
from ray._private import services, worker
from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
from ray._private.state import available_resources_per_node
from ray._private.worker import global_worker
from ray.exceptions import RayError
from ray.experimental import internal_kv
from ray.serve._private.api import serve_start
from ray.serve._private.common import DeploymentID, DeploymentTargetInfo, ReplicaState
from ray.serve._private.constants import SERVE_CONTROLLER_NAME, SERVE_NAMESPACE
from ray.serve._private.long_poll import LongPollClient, LongPollNamespace
from ray.serve.config import gRPCOptions
from ray.serve.schema import ApplicationStatus, ServeDeploySchema, ServeInstanceDetails

from deployments.load.board import Board, read_figures_of, read_wish, read_words, write_figures, write_wish, write_word
from deployments.placement import Node
from router.load.report import RouterLoad
from router.replicas.registry import Figures

_KV_NAMESPACE = b"enginehouse"
_KV_TIMEOUT_S = 2
_ROUTERS_TIMEOUT_S = 30
_FIGURES = b"figures:"
_ROUTER_LOAD = b"router_load:"
_WISH = b"first_tokens_wanted"


@dataclass(slots=True, frozen=True)
class RunningReplica:
    """One running replica of a deployment. `metadata` is what its `record_replica_metadata` returned."""

    replica_id: str
    metadata: Mapping[str, Any]


class ReplicaWatch:
    """
    Serve's list of a deployment's running replicas, as it changes.

    Serve's controller answers a long poll on each change, within about 0.1 s; a replica that begins to drain is no
    longer in the list. `on_change` is called on `loop`, first with the list of now. An application that does not
    exist (yet) has an empty list.
    """

    def __init__(
        self,
        application: str,
        deployment: str,
        loop: asyncio.AbstractEventLoop,
        on_change: Callable[[Sequence[RunningReplica]], None],
    ) -> None:
        self._on_change = on_change
        key = (LongPollNamespace.DEPLOYMENT_TARGETS, DeploymentID(name=deployment, app_name=application))
        self._client = LongPollClient(
            ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE),
            {cast("Any", key): self._updated},
            call_in_event_loop=loop,
            client_id=f"enginehouse router, watching {application}",
        )

    def stop(self) -> None:
        self._client.stop()

    def _updated(self, targets: DeploymentTargetInfo) -> None:
        running = targets.running_replicas if targets.is_available else []
        self._on_change([RunningReplica(info.replica_id.unique_id, info.replica_metadata) for info in running])


def is_replica_stopping() -> bool:
    """
    Whether Serve has told the replica that this process is to stop. Its own code hears of it only once all requests
    that came through Serve are finished.

    Source: ray 2.60.0, `serve/_private/replica.py`, `perform_graceful_shutdown`.
    """
    actors = cast("Mapping[object, Any]", global_worker.actors)
    return any(actor._replica_impl._shutting_down for actor in actors.values())  # noqa: SLF001


def publish_phase(application: str, replica_id: str, phase: str) -> None:
    """Let `read_phases` see how far a replica has come. Serve itself says nothing of a replica that still starts."""
    internal_kv._internal_kv_put(  # noqa: SLF001
        f"phase:{application}:{replica_id}".encode(), phase.encode(), overwrite=True, namespace=_KV_NAMESPACE
    )


def forget_phase(application: str, replica_id: str) -> None:
    internal_kv._internal_kv_del(  # noqa: SLF001
        f"phase:{application}:{replica_id}".encode(), namespace=_KV_NAMESPACE
    )


def forget_phases(application: str) -> None:
    """Forget all replicas of an application: those of an earlier deployment say nothing of the next one."""
    internal_kv._internal_kv_del(  # noqa: SLF001
        f"phase:{application}:".encode(), del_by_prefix=True, namespace=_KV_NAMESPACE
    )


def read_phases(application: str) -> dict[str, str]:
    """The phase of each replica of an application, by replica id."""
    prefix = f"phase:{application}:".encode()
    phases = {}
    for key in internal_kv._internal_kv_list(prefix, namespace=_KV_NAMESPACE):  # noqa: SLF001
        value = internal_kv._internal_kv_get(key, namespace=_KV_NAMESPACE)  # noqa: SLF001
        if value is not None:
            phases[key[len(prefix) :].decode()] = value.decode()
    return phases


def publish_figures(replica_id: str, figures: Figures) -> None:
    """
    Let `read_figures` see how busy a replica's engine is. One call to Ray's head, which blocks for its answer.

    Raises:
        RayError: the head does not answer.
    """
    internal_kv._internal_kv_put(  # noqa: SLF001
        _figures_key(replica_id), write_figures(figures), overwrite=True, namespace=_KV_NAMESPACE
    )


def forget_figures(replica_id: str) -> None:
    internal_kv._internal_kv_del(_figures_key(replica_id), namespace=_KV_NAMESPACE)  # noqa: SLF001


def read_figures(replica_ids: Sequence[str]) -> dict[str, Figures]:
    """
    The last figures of these replicas, by id, as far as there are any. One call, as `publish_figures`.

    Raises:
        RayError: the head does not answer.
    """
    return read_figures_and_wish(replica_ids)[0]


def read_figures_and_wish(replica_ids: Sequence[str]) -> tuple[dict[str, Figures], frozenset[str]]:
    """
    The same, and of which applications `publish_wish` wants to know how their streams begin; in one call.

    Raises:
        RayError: the head does not answer.
    """
    keys = {_figures_key(replica_id): replica_id for replica_id in replica_ids}
    client = internal_kv.internal_kv_get_gcs_client()  # type: ignore[no-untyped-call]
    found = dict(client.internal_kv_multi_get([*keys, _WISH], _KV_NAMESPACE, timeout=_KV_TIMEOUT_S))
    wish = read_wish(found.pop(_WISH, None))
    return read_figures_of({keys[key]: value for key, value in found.items()}), wish


def publish_wish(applications: Iterable[str]) -> None:
    """
    Let routers know of which applications they are to tell how their streams begin. One call, as `publish_figures`.

    Raises:
        RayError: the head does not answer.
    """
    internal_kv._internal_kv_put(  # noqa: SLF001
        _WISH, write_wish(applications), overwrite=True, namespace=_KV_NAMESPACE
    )


def _figures_key(replica_id: str) -> bytes:
    return _FIGURES + replica_id.encode()


def publish_load(router_id: str, number: int, load: RouterLoad) -> None:
    """
    Let `read_board` see what a router sees of the load. `number` grows each time. One call, as `publish_figures`.

    Raises:
        RayError: the head does not answer.
    """
    internal_kv._internal_kv_put(  # noqa: SLF001
        _ROUTER_LOAD + router_id.encode(), write_word(number, load), overwrite=True, namespace=_KV_NAMESPACE
    )


def forget_load(router_id: str) -> None:
    internal_kv._internal_kv_del(_ROUTER_LOAD + router_id.encode(), namespace=_KV_NAMESPACE)  # noqa: SLF001


def read_board(replica_ids: Sequence[str]) -> Board:
    """
    What these replicas say, and all routers, those included that are dead. Two or three calls to Ray's head, which
    block for their answers.

    Raises:
        RayError: the head does not answer.
    """
    client = internal_kv.internal_kv_get_gcs_client()  # type: ignore[no-untyped-call]
    keys = client.internal_kv_keys(_ROUTER_LOAD, _KV_NAMESPACE, timeout=_KV_TIMEOUT_S)
    found = client.internal_kv_multi_get(keys, _KV_NAMESPACE, timeout=_KV_TIMEOUT_S) if keys else {}
    words = {key[len(_ROUTER_LOAD) :].decode(): value for key, value in found.items()}
    return Board(read_figures(replica_ids) if replica_ids else {}, read_words(words))


def read_nodes() -> list[Node]:
    """The cluster's living nodes."""
    free = available_resources_per_node()  # type: ignore[no-untyped-call]
    return [
        Node(node["NodeManagerAddress"], node["Labels"], node["Resources"], free.get(node["NodeID"], {}))
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    ]


def running_hosts(application: str, deployment: str) -> list[str]:
    """The addresses of the nodes on which replicas of a deployment run."""
    controller: Any = ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
    details = ServeInstanceDetails(**cast("Any", ray.get(controller.get_serve_instance_details.remote())))
    replicas = details.applications[application].deployments[deployment].replicas
    return [replica.node_ip for replica in replicas if replica.state is ReplicaState.RUNNING and replica.node_ip]


def ask_all_routers(method: str, *arguments: object) -> list[Any]:
    """
    What a method returns on each router replica that runs on the cluster.

    Raises:
        RuntimeError: one of them failed, or does not answer; the message has its words.
    """
    answers: list[Any] = []
    for name, application in serve.status().applications.items():
        if "Router" in application.deployments:
            handle = serve.get_deployment_handle("Router", name)
            try:
                answers += handle.broadcast(method, *arguments).results(timeout_s=_ROUTERS_TIMEOUT_S)
            except ray.serve.exceptions.DeploymentUnavailableError:  # none of its replicas runs
                continue
            except TimeoutError as error:
                raise RuntimeError(f"a router of {name!r} does not answer within {_ROUTERS_TIMEOUT_S} s") from error
            except RayError as error:
                raise RuntimeError(str(error).strip().splitlines()[-1]) from error
    return answers


def deploy(config: Mapping[str, Any]) -> None:
    """
    What `serve run FILE` does with the file's content, without its blocking.

    Source: ray 2.60.0, `serve/scripts.py`, `run`.
    """
    schema = ServeDeploySchema.model_validate(config)
    client = serve_start(
        http_options=schema.http_options.model_dump(),
        proxy_location=schema.proxy_location,
        grpc_options=gRPCOptions(**schema.grpc_options.model_dump()),
        controller_options=schema.controller_options,
    )
    client.deploy_apps(schema, _blocking=False)


@contextmanager
def in_sessions_of_their_own() -> Iterator[None]:
    """
    Within it, each process that `ray.init` starts has a session of its own. They would be in this process's group
    otherwise, and a signal to all of that, as a terminal and some supervisors send it, would end them beneath those
    who still finish their requests.

    Source: ray 2.60.0, `_private/services.py`, `start_ray_process`.
    """
    opened = services.ConsolePopen
    cast("Any", services).ConsolePopen = partial(opened, start_new_session=True)
    try:
        yield
    finally:
        cast("Any", services).ConsolePopen = opened


def started_processes() -> "dict[str, list[subprocess.Popen[bytes]]]":
    """
    Ray's own processes of the cluster that this process started, by their names in Ray, such as `raylet`.

    Source: ray 2.60.0, `_private/node.py`, `Node.all_processes`.
    """
    node = worker._global_node  # noqa: SLF001
    return {} if node is None else {name: [one.process for one in ones] for name, ones in node.all_processes.items()}


def show_own_token() -> None:
    """Have Ray show the token that lies on this machine, if there is one, unless RAY_AUTH_MODE says what to do."""
    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def put_note(key: str, value: bytes, *, overwrite: bool = True) -> bool:
    """
    Keep a note where the whole cluster can read it, as long as the cluster lasts. Returns whether it is the first.

    Args:
        key: may begin as others do, which `read_notes` gives together.
        value: small.
        overwrite: whether a later note replaces it. If not, the first stays.
    """
    had_one: bool = internal_kv._internal_kv_put(  # noqa: SLF001
        key.encode(), value, overwrite=overwrite, namespace=_KV_NAMESPACE
    )
    return not had_one


def read_notes(prefix: str) -> dict[str, bytes]:
    """
    All notes whose keys begin so.

    Raises:
        RayError: the head does not answer.
    """
    keys = internal_kv._internal_kv_list(prefix.encode(), namespace=_KV_NAMESPACE)  # noqa: SLF001
    if not keys:
        return {}
    client = internal_kv.internal_kv_get_gcs_client()  # type: ignore[no-untyped-call]
    found = client.internal_kv_multi_get(list(keys), _KV_NAMESPACE, timeout=_KV_TIMEOUT_S)
    return {key.decode(): value for key, value in found.items()}


def forget_notes(*keys: str) -> None:
    for key in keys:
        internal_kv._internal_kv_del(key.encode(), namespace=_KV_NAMESPACE)  # noqa: SLF001


def application_args(application: str) -> Mapping[str, Any] | None:
    """
    The `args` that an application was deployed with; empty where it did not come from a file.

    None: there is no such application.
    """
    found = deployed_applications().get(application)
    return None if found is None else found.args


@dataclass(slots=True, frozen=True)
class DeployedApplication:
    """As the file says that was deployed last; both are empty where an application did not come from a file."""

    import_path: str
    args: Mapping[str, Any]


def deployed_applications() -> dict[str, DeployedApplication]:
    """
    All that Serve has, by name, those included that are on their way, and without those that go: it keeps what a whole
    file says before it changes any replica.

    Raises:
        RayError: Serve's controller does not answer.
        ValueError: there is none.

    Source: ray 2.60.0, `serve/_private/application_state.py`, `apply_app_config`.
    """
    controller: Any = ray.get_actor(SERVE_CONTROLLER_NAME, namespace=SERVE_NAMESPACE)
    details = ServeInstanceDetails(**cast("Any", ray.get(controller.get_serve_instance_details.remote())))
    found = {}
    for name, application in details.applications.items():
        if application.status is ApplicationStatus.DELETING:
            continue
        config = application.deployed_app_config
        found[name] = (
            DeployedApplication("", {}) if config is None else DeployedApplication(config.import_path, config.args)
        )
    return found
