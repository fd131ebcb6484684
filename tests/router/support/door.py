"""A router behind its own listener on a free port, with the replicas that a test gives it."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from polling import eventually
from raw_client import ClientAnswer, RawClient, request
from recording_sink import RecordingSink

from cache.store import Store
from configs.cache import CachePolicy
from configs.reliability import ReliabilityPolicy
from configs.router import ListenerSettings, ModelRoute, RequestSettings, RouterUserConfig
from router.app import RouterApp
from router.caching.peer_door import open_peer_door
from router.caching.shared_answers import SharedAnswers
from router.http.auth import KeyRing
from router.listener import ClientProtocol, Listener, bind
from router.models.table import ModelTable
from router.replicas.registry import Replica
from router.state import RouterState

APPLICATION = "application-of-m"
KEY = "sk-of-a-person"
"""Of whoever asks, where a router wants one."""
MAX_ENTRY_BYTES = 4096
"""Of answers that are shared."""


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def table_of_m(requests: RequestSettings, fallbacks: tuple[str, ...] = ()) -> ModelTable:
    """The model table of every test: one model `m`, with the alias `default`."""
    route = ModelRoute(application=APPLICATION, fallbacks=fallbacks, aliases=("default",))
    return ModelTable(RouterUserConfig(models={"m": route}, requests=requests))


@dataclass(slots=True)
class Door:
    """One router. `replicas` are those that it was told of last."""

    state: RouterState
    listener: Listener
    port: int
    sink: RecordingSink
    peer_door: Listener | None = None
    replicas: list[Replica] = field(default_factory=list)

    @classmethod
    async def open(
        cls,
        requests: RequestSettings,
        listener: ListenerSettings | None = None,
        keys: Iterable[str] = (),
        store: Store | None = None,
    ) -> "Door":
        settings = (listener or ListenerSettings()).model_copy(update={"port": free_port()})
        sink = RecordingSink()
        shared = None if store is None else SharedAnswers(store, MAX_ENTRY_BYTES)
        state = RouterState(table_of_m(requests), KeyRing(keys), settings, sink, "router-1", shared)
        opened = Listener(RouterApp(state), bind(settings), settings.allowed_origins)
        await opened.start()
        return cls(state, opened, settings.port, sink, await open_peer_door(state, "127.0.0.1"))

    async def close(self) -> None:
        await self.listener.abort()
        if self.peer_door is not None:
            await self.peer_door.abort()
        await eventually(lambda: not self.state.generations)
        await self.state.close()

    def serve_with(self, *replicas: Replica) -> None:
        """Tell the router that these are the model's replicas now."""
        self.replicas = list(replicas)
        self.state.take_over_replicas(APPLICATION, replicas)

    def fall_back_on(self, *replicas: Replica) -> None:
        """Tell the router that these are replicas of an application that is the model's fallback."""
        self.state.take_over_table(table_of_m(self.state.table.requests, ("fallback",)))
        self.state.take_over_replicas("fallback", replicas)

    @property
    def num_running(self) -> int:
        return sum(replica.num_running for replica in self.replicas)

    @property
    def connections(self) -> list[ClientProtocol]:
        """The router's ends of its clients' connections."""
        return [one for one in self.listener._server_state.connections if isinstance(one, ClientProtocol)]

    @property
    def num_buffered_bytes(self) -> int:
        """What the router itself holds of answers that its clients have not taken; the kernel's share not counted."""
        unsent = sum(connection.transport.get_write_buffer_size() for connection in self.connections)
        kept = [message for one in self.state.generations for message in one._answer._backlog]  # type: ignore[attr-defined]
        return unsent + sum(len(message.get("body", b"")) for message in kept)

    async def client(self, receive_buffer_bytes: int | None = None) -> RawClient:
        return await RawClient.connect(self.port, receive_buffer_bytes)

    def set_policy(self, policy: CachePolicy) -> None:
        """What of the model's answers is kept."""
        self.set_route(cache=policy)

    def set_route(self, **fields: object) -> None:
        """The model's row of the table."""
        route = ModelRoute.model_validate({"application": APPLICATION, "aliases": ("default",), **fields})
        config = RouterUserConfig(models={"m": route}, requests=self.state.table.requests)
        self.state.take_over_table(ModelTable(config))

    def set_reliability(self, policy: ReliabilityPolicy) -> None:
        """What happens to the model's requests when a replica is slow, overloaded or lost."""
        route = ModelRoute(application=APPLICATION, aliases=("default",), reliability=policy)
        config = RouterUserConfig(models={"m": route}, requests=self.state.table.requests)
        self.state.take_over_table(ModelTable(config))

    async def post(
        self, body: object, path: str = "/v1/chat/completions", headers: dict[str, str] | None = None
    ) -> ClientAnswer:
        """One request on a connection of its own, and its answer."""
        with await self.client() as client:
            await client.post(body, path, headers)
            return await client.answer()

    async def ask(self, method: str, path: str, headers: dict[str, str] | None = None) -> ClientAnswer:
        """One request without a body on a connection of its own, and its answer."""
        with await self.client() as client:
            await client.send(request(method, path, headers))
            return await client.answer(to_head=method == "HEAD")


class OpenDoor(Protocol):
    """Opens a router with settings of the test's own; it is closed at the test's end."""

    async def __call__(
        self,
        requests: RequestSettings = ...,
        listener: ListenerSettings | None = None,
        keys: Iterable[str] = (),
        store: Store | None = None,
    ) -> Door: ...
