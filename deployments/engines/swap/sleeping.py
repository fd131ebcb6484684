"""Putting a running engine to sleep and waking it, by its server's own requests."""

import asyncio
import time
from collections.abc import Sequence

import aiohttp
import orjson

from deployments.engines.contract import SleepMode, SleepRequest
from deployments.engines.errors import EngineUnresponsive

STATE_POLL_S = 0.05
REFUSED_FOR_S = 1.0
"""How long an engine may refuse to sleep, in seconds: it may yet have to hear that the last client has left."""

_BROKEN = (aiohttp.ClientError, OSError, TimeoutError)


class _RefusedError(EngineUnresponsive):
    """The server said no."""


async def put_to_sleep(mode: SleepMode, timeout_s: float) -> None:
    """
    Returns when the GPU's memory is free.

    Raises:
        EngineUnresponsive: the server went on refusing, or did not say so within `timeout_s`.
    """
    deadline = time.monotonic() + REFUSED_FOR_S
    while True:
        try:
            await _bring(mode, mode.sleep, timeout_s, is_asleep=True)
        except _RefusedError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(STATE_POLL_S)
        else:
            return


async def wake(mode: SleepMode, timeout_s: float) -> None:
    """
    Returns when requests may come.

    Raises:
        EngineUnresponsive: the server refused, or did not say so within `timeout_s`.
    """
    await _bring(mode, mode.wake, timeout_s, is_asleep=False)


async def _bring(mode: SleepMode, requests: Sequence[SleepRequest], timeout_s: float, *, is_asleep: bool) -> None:
    aim = "sleep" if is_asleep else "wake"
    no_limit = aiohttp.ClientTimeout(total=None)
    try:
        async with asyncio.timeout(timeout_s), aiohttp.ClientSession(headers=mode.headers, timeout=no_limit) as session:
            for request in requests:
                async with session.post(mode.url + request.path, json=request.body) as response:
                    if response.status != 200:
                        words = (await response.text())[:500]
                        raise _RefusedError(f"it did not {aim}: {request.path}: {response.status} {words}")
            while await _is_asleep(mode, session) is not is_asleep:  # noqa: ASYNC110  its server tells no event
                await asyncio.sleep(STATE_POLL_S)
    except _BROKEN as error:
        raise EngineUnresponsive(f"it did not {aim} within {timeout_s:g} s: {error!r}") from error


async def _is_asleep(mode: SleepMode, session: aiohttp.ClientSession) -> bool:
    async with session.get(mode.url + mode.state) as response:
        text = await response.read()
    try:
        return mode.is_asleep(orjson.loads(text))
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise EngineUnresponsive(f"{mode.state} does not say whether it sleeps: {text[:500]!r}") from error
