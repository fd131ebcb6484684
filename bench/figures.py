"""The engines' figures in a router without Ray, which would bring them: read from their `/metrics`."""

import asyncio
import contextlib
import sys
from collections.abc import Sequence

import aiohttp

from deployments.engines import prometheus_text
from router.replicas.registry import Figures, Replica
from router.state import RouterState

FIGURES_INTERVAL_S = 1.0
RUNNING_NAMES = ("vllm:num_requests_running", "llamacpp:requests_processing")
WAITING_NAMES = ("vllm:num_requests_waiting", "llamacpp:requests_deferred")


def load_of(metrics_text: str) -> tuple[int, int]:
    """Requests that run in an engine, and that wait there."""
    values = prometheus_text.samples(metrics_text)
    running, waiting = (sum(values.get(name, 0) for name in names) for names in (RUNNING_NAMES, WAITING_NAMES))
    return int(running), int(waiting)


async def bring_figures(state: RouterState, replicas: Sequence[Replica]) -> None:
    """Once a second, for ever. An engine that stands still does not keep those of the others back."""
    timeout = aiohttp.ClientTimeout(total=FIGURES_INTERVAL_S)
    headers = {"authorization": f"Bearer {replicas[0].secret}"}
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        for number in range(sys.maxsize):
            found = await asyncio.gather(*(_figures_of(replica, number, session) for replica in replicas))
            state.take_over_figures({name: figures for name, figures in found if figures is not None})
            await asyncio.sleep(FIGURES_INTERVAL_S)


async def _figures_of(replica: Replica, number: int, session: aiohttp.ClientSession) -> tuple[str, Figures | None]:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with session.get(f"http://{replica.host}:{replica.port}/metrics") as answer:
            return replica.replica_id, Figures(number, *load_of(await answer.text()), None)
    return replica.replica_id, None
