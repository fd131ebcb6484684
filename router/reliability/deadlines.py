"""How long each part of one request may take."""

import asyncio
import math
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, Self

from configs.reliability import DeadlinePolicy
from configs.router import RequestSettings
from router.errors import EngineTimeout, InvalidRequest
from router.http.asgi import Scope, header

TIMEOUT_HEADER = b"x-request-timeout-s"
"""
By which a client asks for a shorter total.

`x-stainless-timeout` and `x-stainless-read-timeout`, which OpenAI's SDKs send, are not read: they say after how long a
silence the SDK gives up by itself, and not how long the whole answer may take. When it does, its connection closes, and
the engine stops.
"""

_MAX_TOTAL_S: Final = 86_400.0


@dataclass(slots=True, frozen=True)
class Deadlines:
    """A model's, in seconds. `total_s` is None where there is none."""

    queue_s: float
    first_token_s: float
    between_tokens_s: float
    total_s: float | None = None

    @classmethod
    def of(cls, policy: DeadlinePolicy, requests: RequestSettings) -> Self:
        """Those of the policy; where it has none, those of all requests."""
        return cls(
            queue_s=policy.queue_s or requests.replica_wait_s,
            first_token_s=policy.first_token_s or requests.first_byte_timeout_s,
            between_tokens_s=policy.between_tokens_s or requests.stall_timeout_s,
            total_s=policy.total_s,
        )


USUAL_DEADLINES = Deadlines.of(DeadlinePolicy(), RequestSettings())
"""Where no file says anything else."""


def total_of(scope: Scope, deadlines: Deadlines) -> float | None:
    """
    The whole time that a request may take, in seconds: the model's, or the client's where that is shorter.

    Raises:
        InvalidRequest: the client's is no number above 0.
    """
    given = header(scope, TIMEOUT_HEADER)
    if given is None:
        return deadlines.total_s
    try:
        wanted_s = float(given)
    except ValueError:
        wanted_s = math.nan
    if not 0 < wanted_s < math.inf:
        name = TIMEOUT_HEADER.decode()
        raise InvalidRequest(f"The header {name} must be a number of seconds above 0.", param=name)
    return min(wanted_s, deadlines.total_s or _MAX_TOTAL_S)


async def within_total(work: Awaitable[None], arrived_at: float, total_s: float) -> None:
    """
    Wait for `work`, and cancel it when the total has passed: what it asked an engine is aborted with it.

    Args:
        work: all that makes the answer.
        arrived_at: loop time at which the request came, in seconds.
        total_s: in seconds.

    Raises:
        EngineTimeout: the total has passed.
    """
    timeout = asyncio.timeout_at(arrived_at + total_s)
    try:
        async with timeout:
            await work
    except TimeoutError:
        if not timeout.expired():
            raise
        raise EngineTimeout(f"The answer was not complete within {total_s:g} s, the total of this request.") from None
