"""The router's own door, without Ray: who comes through it finds what it was told before."""

import asyncio
import json
import urllib.request
from collections.abc import Sequence

import pytest

from configs.batches import BatchSettings
from configs.cache import CacheSettings
from configs.router import ListenerSettings, ModelRoute, RouterUserConfig
from deployments.engines.ports import free_port
from deployments.router_door import DoorSettings, OwnDoor
from router.http.auth import KeyRing
from router.metrics import Metric
from router.models.table import ModelTable
from router.replicas.registry import Replica


class Sink:
    """Nobody looks into it."""

    def record(self, metric: Metric, value: float, labels: dict[str, str]) -> None: ...

    def record_all(self, metric: Metric, values: Sequence[float], labels: dict[str, str]) -> None: ...


def _health(port: int) -> dict[str, object]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30) as answer:
        document: dict[str, object] = json.load(answer)
    return document


async def test_nobody_comes_in_before_it_listens() -> None:
    """And the first one finds the replicas that it was told of meanwhile."""
    port = free_port("127.0.0.1")
    listener = ListenerSettings(port=port)
    door = OwnDoor(DoorSettings(listener, KeyRing([]), Sink(), "r", CacheSettings(), BatchSettings(), "127.0.0.1"))
    await door.open(ModelTable(RouterUserConfig(models={"m": ModelRoute(application="app")})))
    try:
        door.take_over_replicas("app", [Replica("r1", "m", "127.0.0.1", 1, "s", "vllm", "vllm")])
        with pytest.raises(OSError, match="refused"):
            await asyncio.to_thread(_health, port)
        await door.listen()
        assert {"m": 1} == (await asyncio.to_thread(_health, port))["ready_replicas"]
    finally:
        await door.drain(10)
        await door.close()
