"""What engines say of their load while lines run: how this router learns of other routers' clients."""

import asyncio
import contextlib
from collections.abc import Iterable

import aiohttp

from router.replicas import Replica

INTERVAL_S = 0.5
"""How often a replica with lines is asked, in seconds."""
_TIMEOUT_S = 2.0
_RUNNING = (b"vllm:num_requests_running", b"llamacpp:requests_processing")
_WAITING = (b"vllm:num_requests_waiting", b"llamacpp:requests_deferred")


def read_load(metrics: bytes) -> tuple[int, int] | None:
    """
    Running and waiting requests in Prometheus' text, summed over labels; None where it has neither name.

    Source:
        https://prometheus.io/docs/instrumenting/exposition_formats/ ("Text-based format")
    """
    found: dict[bytes, float] = {}
    for line in metrics.splitlines():
        name = line.partition(b"{")[0].partition(b" ")[0]
        if name in _RUNNING or name in _WAITING:
            fields = line[len(name) :].rpartition(b"}")[2].split()
            with contextlib.suppress(ValueError, IndexError):
                found[name] = found.get(name, 0.0) + float(fields[0])
    running = [found[name] for name in _RUNNING if name in found]
    if not running:
        return None
    return int(sum(running)), int(sum(found.get(name, 0.0) for name in _WAITING))


class EngineLoads:
    """
    The latest word of each replica that was asked. Engines that do not answer, or not in these words, count as having
    no load but this router's.
    """

    def __init__(self) -> None:
        self._loads: dict[str, tuple[int, int]] = {}

    def of(self, replicas: Iterable[Replica]) -> tuple[int, int]:
        """Requests that are not this router's, and requests that wait inside the engines."""
        known = [self._loads.get(replica.replica_id, (0, 0)) for replica in replicas]
        return sum(one[0] for one in known), sum(one[1] for one in known)

    async def ask(self, session: aiohttp.ClientSession, replicas: Iterable[Replica]) -> None:
        """Ask all of them, and forget the others."""
        asked = list(replicas)
        found = await asyncio.gather(*(self._ask(session, replica) for replica in asked))
        self._loads = {replica.replica_id: load for replica, load in zip(asked, found, strict=True) if load}

    async def _ask(self, session: aiohttp.ClientSession, replica: Replica) -> tuple[int, int] | None:
        num_own = replica.num_running
        headers = {"authorization": f"Bearer {replica.secret}"}
        try:
            async with session.get(
                f"http://{replica.host}:{replica.port}/metrics",
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            ) as answer:
                load = read_load(await answer.read()) if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None
        if load is None:
            return None
        num_running, num_waiting = load
        # What is on its way in one direction or the other counts as this router's own.
        return max(0, num_running + num_waiting - max(num_own, replica.num_running)), num_waiting
