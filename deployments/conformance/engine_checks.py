"""Checks of an engine that stands in its replica: who gets in, what is closed, and that it lets go."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import aiohttp

from deployments.conformance.subject import COMPLETION, Deviation, Subject, demand
from deployments.engines.errors import EngineError
from deployments.engines.runtime import EngineRuntime

EngineQuestion: TypeAlias = Callable[[EngineRuntime, Subject], Awaitable[None]]

RELEASE_TIMEOUT_S = 20.0
"""Engines look for clients that have gone about once a second, and finish the step that they are at."""

CONTROL_ROUTES = (
    *("/update_weights", "/release_memory", "/resume_memory", "/kv_cache_events", "/steady_clock_offset"),
    *("/sleep", "/wake_up", "/reset_prefix_cache", "/start_profile", "/stop_profile", "/api/pull", "/api/delete"),
)
"""Routes by which servers let anybody change their weights, free their memory or read what others asked."""


async def strangers(runtime: EngineRuntime, subject: Subject) -> None:  # noqa: ARG001  the question's form
    """Without the replica's secret nothing but the health is answered."""
    address = runtime.address
    async with aiohttp.ClientSession(f"http://{address.host}:{address.port}") as stranger:
        statuses = []
        for method, path in (("GET", "/health"), ("GET", "/metrics"), ("POST", COMPLETION)):
            body = {"prompt": "a"} if method == "POST" else None
            async with stranger.request(method, path, json=body) as response:
                await response.read()
                statuses.append(response.status)
    demand(statuses == [200, 401, 401], "statuses 200, 401, 401", statuses)


async def control_routes(runtime: EngineRuntime, subject: Subject) -> None:  # noqa: ARG001
    """With the secret, too, no route is open by which weights or memory could be changed."""
    for path in CONTROL_ROUTES:
        reply = await subject.post(path, {})
        demand(reply.status in (401, 403, 404, 405, 501), f"{path} to be closed", reply.status)


async def load(runtime: EngineRuntime, subject: Subject) -> None:
    """The engine counts a request that runs, and the tokens of one that is done."""
    before = await runtime.load()
    answer = await subject.chat("Hi", max_tokens=4)
    after = await runtime.load()
    if before.num_completion_tokens is None or after.num_completion_tokens is None:
        raise Deviation("a count of completion tokens")
    grown = after.num_completion_tokens - before.num_completion_tokens
    demand(grown == answer["usage"]["completion_tokens"], "the count to grow by the usage", [grown, answer["usage"]])


async def disconnect(runtime: EngineRuntime, subject: Subject) -> None:
    """A client that leaves in the middle of a stream frees the engine."""
    body = {"model": subject.model, "prompt": "Once upon a time", "max_tokens": 1000, "stream": True}
    async with subject.session.post(COMPLETION, json=body) as response:
        await response.content.readany()
        response.close()
    try:
        async with asyncio.timeout(RELEASE_TIMEOUT_S):
            while not (await runtime.load()).is_idle:  # noqa: ASYNC110  the event is in another process
                await asyncio.sleep(0.1)
    except (TimeoutError, EngineError) as error:
        raise Deviation("the engine to be idle again", repr(error)) from error


ENGINE_CHECKS: tuple[EngineQuestion, ...] = (strangers, control_routes, load, disconnect)
